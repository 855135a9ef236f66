// Every page's behaviour. Each module finds its own data attributes; without script the
// same pages work as plain links and forms.
import { startConfirm } from "./confirm.js";
import { startCopy } from "./copy.js";
import { startDisks } from "./disks.js";
import { startForms } from "./forms.js";
import { startGoingOn } from "./goingon.js";
import { startKeyFiles } from "./keyfile.js";
import { startKeygen } from "./keygen.js";
import { startLaunch } from "./launch.js";
import { startLists } from "./lists.js";
import { startLive } from "./live.js";
import { startLogs } from "./consolelog.js";
import { startMenus } from "./menus.js";
import { startMessages } from "./messages.js";
import { startPasskeys } from "./passkeys.js";
import { startQueue } from "./queue.js";
import { startSelection } from "./select.js";
import { startThemes } from "./themes.js";
import { startTimes } from "./times.js";

startThemes();
startMenus();
startMessages();
startTimes();
startCopy();
startSelection();
startConfirm();
startForms();
startGoingOn();
startKeygen();
startKeyFiles();
startPasskeys();
startLaunch();
startLogs();
startQueue();
startDisks();
startLists();
startLive();
