"""Names for what does not exist."""

GIVEN = (
    "Ada", "Bogdan", "Chiara", "Dmitri", "Elena", "Femi", "Grace", "Hiroshi", "Ines", "Jonas",
    "Kavita", "Lise", "Marco", "Noor", "Oskar", "Priya", "Quentin", "Rosa", "Sven", "Tove",
)  # fmt: skip
FAMILY = (
    "Almeida", "Brandt", "Costa", "Dubois", "Eriksen", "Fischer", "Garnier", "Haddad", "Ito",
    "Jansen", "Kowalski", "Lindgren", "Moreau", "Novak", "Okafor", "Petrov", "Rossi", "Sato",
)  # fmt: skip
PURPOSES = (
    "web", "notebook", "blast-node", "slurm-worker", "root-analysis", "gitlab-runner", "db",
    "genome assembly", "mesh generator", "course", "build", "crawler", "météo", "анализ", "解析",
    "gateway", "test", "thesis", "climate run", "viewer",
)  # fmt: skip
SYSTEMS = (
    ("Debian", "12"), ("Debian", "11"), ("Ubuntu", "24.04"), ("Ubuntu", "22.04"),
    ("AlmaLinux", "9.4"), ("Rocky", "9.4"), ("Fedora", "41"), ("openSUSE", "15.6"),
    ("CentOS", "7.9"), ("Alpine", "3.20"),
)  # fmt: skip
SOFTWARE = (
    "base system", "ROOT and Geant4", "JupyterLab", "a Slurm head node", "BLAST and HMMER",
    "GROMACS", "PostgreSQL", "a desktop", "R and Bioconductor", "OpenFOAM", "a Ganga client",
    "PROOF on demand", "Hadoop", "a CernVM contextualizer",
)  # fmt: skip
INSTITUTES = (
    "physics", "biology", "observatory", "mines", "geo", "chem", "library", "it",
)  # fmt: skip
MESSAGES = (
    "PhD student in the particle group; I want to run fits that do not fit on my laptop.",
    "Course on bioinformatics in spring, about 20 students.",
    "I need a Windows-free place for our instrument's control software, three machines at most.",
    "Postdoc, climate group. Ensemble runs and notebooks; my head of group knows of it.",
    "Short test of an image for the Marketplace.",
    "",
    "Je prépare un atelier pour septembre ; merci de valider mon compte avant le 1er.",
)
WISHES = (
    "The course has more students than last year, from Monday on for four weeks.",
    "Our analysis needs eight workers side by side; until the end of the month.",
    "Two more machines for a demonstration at the collaboration meeting.",
)
