// How amounts, times and states are written.

import { h } from "./dom.js";

/** Of resources that are counted in MB. */
const IN_MEGABYTES = new Set(["mem", "disk"]);

/** A number with at most three decimals, as resources have. */
export function number(value) {
  return Number(value).toLocaleString("en", { maximumFractionDigits: 3 });
}

/** An amount in bytes: 1536 is "1.5 KB". */
export function bytes(value) {
  const units = ["B", "KB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  let amount = value;
  for (; amount >= 1024 && unit < units.length - 1; unit += 1) amount /= 1024;
  return `${amount.toLocaleString("en", { maximumFractionDigits: 1 })} ${units[unit]}`;
}

/** An amount of the resource of this name. What is no number (ports) is text already. */
export function amount(name, value) {
  if (typeof value !== "number") return value;
  return IN_MEGABYTES.has(name) ? bytes(value * 1024 * 1024) : number(value);
}

/** Resources in a line: "cpus 2, mem 1 GB, ports [31000-32000]". Those that are 0 are left out, but for limits. */
export function resources(all = {}, { zeros = false } = {}) {
  const some = Object.entries(all).filter(([, value]) => zeros || value !== 0);
  return some.map(([name, value]) => `${name} ${amount(name, value)}`).join(", ");
}

/** A duration of so many seconds in its two largest units: "2 h 5 min". */
export function duration(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let left = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [name, length] of units) {
    const count = Math.floor(left / length);
    left -= count * length;
    if (count > 0) parts.push(`${count} ${name}`);
    else if (parts.length > 0) break;
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}

/** A moment, in seconds since 1970: "5 min ago", with the date and the time when it is pointed at. */
export function time(seconds) {
  if (!seconds) return null;
  const moment = new Date(seconds * 1000);
  // Executors may say what they like of when something was.
  if (Number.isNaN(moment.getTime())) return null;
  const past = Date.now() / 1000 - seconds;
  const text = past >= 0 ? `${duration(past)} ago` : `in ${duration(-past)}`;
  return h("time", { datetime: moment.toISOString(), title: moment.toLocaleString() }, text);
}

/** A task's state: "running" for TASK_RUNNING, with a colour. */
export function state(name) {
  const word = stateName(name);
  return h("span", { class: `state ${word.replaceAll(" ", "-")}` }, word);
}

export function stateName(name) {
  return name.replace(/^TASK_/, "").replaceAll("_", " ").toLowerCase();
}

/** "1 agent", "2 agents". */
export function count(many, what) {
  return `${number(many)} ${what}${many === 1 ? "" : "s"}`;
}

/** An id that a master has given: the end of that one's, and what follows; the whole when it is pointed at. */
export function short(id) {
  const [, end] = /^[0-9a-f]{8}-[0-9a-f-]{23}([0-9a-f]{4}-.+)$/.exec(id) ?? [];
  return end ? h("span", { title: id }, `…${end}`) : id;
}
