// Conditions as rows: attribute, operator, value. What is written stands in the box of JSON, which is what is sent; a condition
// that rows can't show stays there. Counterpart: templates/readable.html has what can be read. Never: a condition of its own.
"use strict";

const OPERATORS = {
  is: ["is", "text"], $ne: ["is not", "text"],
  $in: ["is one of", "list"], $nin: ["is none of", "list"],
  $regex: ["matches the pattern", "text"],
  $lt: ["is below", "text"], $lte: ["is at most", "text"], $gt: ["is above", "text"], $gte: ["is at least", "text"],
  $vlt: ["is older than version", "text"], $vgte: ["is version or newer", "text"],
  has: ["has", "text"], hasNot: ["has not", "text"],
  $inGroup: ["is in the saved group", "group"], $notInGroup: ["is not in the saved group", "group"],
  there: ["is there", "none"], missing: ["is not there", "none"],
};
const GROUPS = ["$inGroup", "$notInGroup"], PRESENCE = ["there", "missing"];
const FITTING = {
  string: ["is", "$ne", "$in", "$nin", "$regex", "$gte", "$lt", "$vgte", "$vlt", ...GROUPS, ...PRESENCE],
  number: ["is", "$ne", "$lt", "$lte", "$gt", "$gte", "$in", "$nin", ...GROUPS, ...PRESENCE],
  boolean: ["is", ...PRESENCE],
  list: ["has", "hasNot", ...PRESENCE],
};
const NUMBER = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?$/;

// ---------------------------------------------------------------- rows <-> JSON

// The rows of a condition: {any, rows}; null for one that says more than rows can.
function rowsOf(condition, typeOf) {
  if (!isObject(condition)) return null;
  const names = Object.keys(condition);
  const whole = names.length === 1 && (names[0] === "$or" || names[0] === "$and") ? names[0] : "";
  const parts = whole ? condition[whole] : names.map((name) => ({ [name]: condition[name] }));
  if (!Array.isArray(parts) || (whole && !parts.length)) return null;
  const rows = [];
  for (const part of parts) {
    if (!isObject(part) || Object.keys(part).length !== 1) return null;
    const [name] = Object.keys(part);
    const found = rowsOfAttribute(name, part[name], typeOf(name));
    if (found === null || (whole === "$or" && found.length !== 1)) return null;
    rows.push(...found);
  }
  if (rows.some((row) => lack(row, typeOf(row.name)))) return null;
  const found = { any: whole === "$or", rows };
  // Only what comes back as it was is shown as rows; the order of clauses means nothing.
  return JSON.stringify(conditionOf(found.any, rows, typeOf)) === JSON.stringify(condition) ? found : null;
}

function rowsOfAttribute(name, expected, type) {
  if (name.startsWith("$") || name.trim() !== name || !name) return null;
  if (!isObject(expected)) return isPlain(expected) ? [{ name, operator: "is", text: String(expected) }] : null;
  const rows = [];
  for (const [operator, operand] of Object.entries(expected)) {
    if (operator === "$exists" && typeof operand === "boolean") rows.push({ name, operator: operand ? "there" : "missing", text: "" });
    else if (operator === "$elemMatch" && isPlain(operand?.$eq)) rows.push({ name, operator: "has", text: String(operand.$eq) });
    else if (operator === "$not" && isPlain(operand?.$elemMatch?.$eq)) rows.push({ name, operator: "hasNot", text: String(operand.$elemMatch.$eq) });
    else if (["$in", "$nin"].includes(operator) && Array.isArray(operand) && operand.every(isPlain)) rows.push({ name, operator, text: operand.join(", ") });
    else if (operator in OPERATORS && operator.startsWith("$") && isPlain(operand)) rows.push({ name, operator, text: String(operand) });
    else return null;
  }
  return rows.length && rows.every((row) => fitting(type).includes(row.operator)) ? rows : null;
}

function conditionOf(any, rows, typeOf) {
  const clauses = rows.map((row) => [row.name, clauseOf(row, typeOf(row.name))]);
  if (any) return { $or: clauses.map(([name, clause]) => ({ [name]: clause })) };
  const together = Object.create(null); // a name such as __proto__ is one like any other
  for (const [name, clause] of clauses) {
    const before = together[name];
    if (before === undefined) together[name] = clause;
    else if (isObject(before) && isObject(clause) && !Object.keys(clause).some((operator) => operator in before)) together[name] = { ...before, ...clause };
    else return { $and: clauses.map(([one, its]) => ({ [one]: its })) };
  }
  return together;
}

function clauseOf({ operator, text }, type) {
  switch (operator) {
    case "is": return valueOf(text, type);
    case "there": return { $exists: true };
    case "missing": return { $exists: false };
    case "has": return { $elemMatch: { $eq: text } };
    case "hasNot": return { $not: { $elemMatch: { $eq: text } } };
    case "$in": case "$nin": return { [operator]: text.split(",").map((one) => one.trim()).filter(Boolean).map((one) => valueOf(one, type)) };
    case "$lt": case "$lte": case "$gt": case "$gte": case "$ne": return { [operator]: valueOf(text, type) };
    default: return { [operator]: text };
  }
}

function valueOf(text, type) {
  if (type === "boolean") return text === "true";
  return type !== "string" && NUMBER.test(text) ? Number(text) : text;
}

function fitting(type) {
  return FITTING[type] ?? [...new Set([...FITTING.string, ...FITTING.number])];
}

// What is missing from a row; empty for one that says something.
function lack({ name, operator, text }, type) {
  const kind = OPERATORS[operator][1];
  if (!name) return "Choose an attribute, or remove the row.";
  if (name.startsWith("$")) return "An attribute’s name does not begin with $.";
  if (kind === "none") return "";
  if (kind === "list" && !text.split(",").some((one) => one.trim())) return "Write one value or more, with commas between them.";
  if (!text && (kind === "group" || type !== "string" || operator !== "is")) return "Write a value.";
  const numbers = type === "number" && kind !== "group" ? text.split(",").map((one) => one.trim()).filter(Boolean) : [];
  return numbers.every((one) => NUMBER.test(one)) ? "" : "Write a number.";
}

function isObject(value) { return typeof value === "object" && value !== null && !Array.isArray(value); }
function isPlain(value) { return typeof value === "boolean" || (typeof value === "string" ? value.trim() === value : Math.abs(value) <= Number.MAX_SAFE_INTEGER && typeof value === "number"); }

// ---------------------------------------------------------------- on the page

function build(box) {
  const known = new Map();
  for (const line of document.querySelectorAll("#readable [data-name]")) {
    known.set(line.dataset.name, { type: line.dataset.type, source: line.dataset.source, values: line.dataset.values.split(" ").filter(Boolean) });
  }
  const openObjects = [...known].filter(([, one]) => one.type === "object").map(([name]) => `${name}.`);
  const typeOf = (name) => known.get(name)?.type ?? (openObjects.some((start) => name.startsWith(start)) ? "string" : "");
  const [builder, list, add, mode, told] = ["conditions-rows", "conditions-list", "conditions-add", "conditions-any", "conditions-told"].map((id) => document.getElementById(id));
  const field = box.closest(".field");
  builder.hidden = false;
  let number = 0;

  function row(given) {
    const line = element("div", { className: "condition", role: "group", "aria-label": `Condition ${(number += 1)}` });
    const name = element("input", { type: "text", className: "code", value: given.name, "aria-label": "Attribute", placeholder: "language", autocomplete: "off", spellcheck: false });
    name.setAttribute("list", "readable-names");
    const operator = element("select", { "aria-label": "Operator" });
    const place = element("span", { className: "value" });
    const remove = element("button", { type: "button", className: "button plain slim", textContent: "Remove", "aria-label": "Remove this condition" });
    const hint = element("p", { className: "hint" });
    const problem = element("p", { className: "problem", hidden: true });
    line.append(name, operator, place, remove, hint, problem);
    line.said = () => ({ name: name.value.trim(), operator: operator.value, text: place.firstChild?.value.trim() ?? "" });
    line.isEmpty = () => !name.value.trim() && !(place.firstChild?.value ?? "");
    line.check = () => {
      const missing = lack(line.said(), typeOf(line.said().name));
      problem.textContent = missing;
      problem.hidden = !missing;
      return !missing;
    };
    line.focus = () => name.focus();
    const fit = (chosen) => {
      const type = typeOf(name.value.trim());
      operator.replaceChildren(...fitting(type).map((word) => element("option", { value: word, textContent: OPERATORS[word][0], selected: word === chosen })));
      hint.textContent = known.get(name.value.trim())?.source ?? "";
    };
    const ask = (text) => {
      const { type, values } = known.get(name.value.trim()) ?? { type: typeOf(name.value.trim()), values: [] };
      place.replaceChildren(...valueField(OPERATORS[operator.value][1], type, values, text, `values-${number}`));
    };
    fit(given.operator);
    ask(given.text);
    name.addEventListener("change", () => { const said = line.said(); fit(said.operator); ask(said.text); write(); });
    operator.addEventListener("change", () => { ask(line.said().text); write(); });
    line.addEventListener("input", write);
    remove.addEventListener("click", () => { line.remove(); write(); add.focus(); });
    return line;
  }

  function lines() { return [...list.children].filter((line) => !line.isEmpty()); }

  // Rows that lack something are not written; they can't be sent either.
  function write() {
    const whole = lines().filter((line) => !lack(line.said(), typeOf(line.said().name)));
    box.value = whole.length ? JSON.stringify(conditionOf(mode.value === "any" && whole.length > 1, whole.map((line) => line.said()), typeOf), null, 2) : "{}";
    tell();
  }

  function tell() {
    told.textContent = lines().length ? "" : "No condition: everybody.";
  }

  function read() {
    let condition = null;
    try { condition = JSON.parse(box.value.trim() || "{}"); } catch { /* whoever saves it is told where it is wrong */ }
    const found = rowsOf(condition, typeOf);
    for (const part of [list, add, mode.closest("label")]) part.hidden = found === null;
    list.replaceChildren(...(found?.rows ?? []).map(row));
    mode.value = found?.any ? "any" : "all";
    if (found === null) told.textContent = "This condition says more than rows can show; it is edited as JSON.";
    else tell();
  }

  add.addEventListener("click", () => { const line = row({ name: "", operator: "is", text: "" }); list.append(line); line.focus(); told.textContent = ""; });
  mode.addEventListener("change", write);
  box.addEventListener("change", read);
  addEventListener("pageshow", (event) => { if (!event.persisted) read(); }); // what was typed is there again after a reload
  box.form.addEventListener("submit", (event) => {
    if (event.submitter?.value === "type") return;
    const lacking = lines().filter((line) => !line.check());
    if (!lacking.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    lacking[0].focus();
  }, true);
  field.before(builder);
  read();
}

function valueField(kind, type, values, text, id) {
  if (kind === "none") return [];
  if (type === "boolean") {
    const choice = element("select", { "aria-label": "Value" });
    choice.append(...["true", "false"].map((word) => element("option", { value: word, textContent: word, selected: word === text })));
    return [choice];
  }
  const input = element("input", { type: "text", value: text, "aria-label": "Value", autocomplete: "off" });
  if (kind === "group") input.setAttribute("list", "readable-groups");
  if (kind !== "text" || !values.length) return [input];
  const offered = element("datalist", { id });
  offered.append(...values.map((value) => element("option", { value })));
  input.setAttribute("list", id);
  return [input, offered];
}

function element(name, properties) {
  const node = document.createElement(name);
  for (const [property, value] of Object.entries(properties)) {
    if (property in node) node[property] = value;
    else node.setAttribute(property, value);
  }
  return node;
}

const conditions = document.getElementById("conditions");
if (conditions && document.getElementById("conditions-rows")) build(conditions);
