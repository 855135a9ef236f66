// Sets the colours before the first paint; app.js brings the button to life.
const choice = localStorage.getItem("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");

document.documentElement.dataset.bsTheme =
  choice === "light" || choice === "dark" ? choice : dark.matches ? "dark" : "light";
