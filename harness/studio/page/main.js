// Put the page together. A further panel is a module that listens to the design (`on`) and shows itself in #panels.

import { Refused, onConnection, start } from "./api.js";
import { byId } from "./dom.js";
import * as editor from "./editor.js";
import "./figures.js";
import "./graph.js";
import "./edits.js";
import * as keep from "./keep.js";
import * as machine from "./machine.js";
import "./timeline.js";
import "./share.js";
import "./recommend.js";
import * as beside from "./beside.js";

onConnection((message) => {
  byId("connection").textContent = message;
});

try {
  const begun = await start();
  editor.begin(begun.text);
  keep.begin(begun);
  await machine.begin(begun.profiles);
  beside.begin(machine.machines());
} catch (error) {
  byId("connection").textContent = error instanceof Refused ? error.message : `The workbench could not start: ${error.message}`;
}
