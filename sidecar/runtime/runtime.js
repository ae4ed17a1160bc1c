/* The engine's script in the browser: carries out mutations that wait for an event there (client), and puts back what a
   framework's hydration undid (guarded). Counterpart: rules/html/island.py, which writes the data right before this script.
   Laws: it never throws into the page, never blocks it, and never removes or replaces a node that it did not make: a framework
   that misses one of its nodes breaks the page. So it hides, empties and adds. It fights with nobody: after TRIES in a row it
   gives up and says so in data-layout-mutation-gave-up. */
(() => {
  const TRIES = 8, CALM = 10000, PATIENCE = 5000, BREATH = 100;
  const MARK = 'data-layout-mutation';
  // what runs, or where everything else comes from: no author may touch it (rules/html/operations.py)
  const NEVER = 'script,style,base,object,embed,meta[http-equiv],[integrity],[data-turbo-track]';
  const now = () => performance.now();
  let groups, policy;
  try {
    // the property itself: an element named currentScript, which authors may write, would hide it
    const told = JSON.parse(Document.prototype.__lookupGetter__('currentScript').call(document).previousElementSibling.textContent);
    if (told.v !== 1) return;
    groups = told.groups;
    policy = self.trustedTypes && trustedTypes.createPolicy('layout-mutation', { createHTML: html => html });
  } catch (_) {
    if (!groups) return; // no data; where only the policy was refused, text and attributes still work
  }

  // ---- verbs, as the island names them: each makes it so on one element, and says whether anything had to change

  const styled = (el, properties) => {
    const before = el.style.cssText;
    for (const name in properties) el.style.setProperty(name, ...properties[name]);
    return el.style.cssText !== before;
  };
  const hidden = el => styled(el, { display: ['none', 'important'] });
  const attribute = (el, name, value) => {
    if (el.getAttribute(name) == value) return false; // null for none
    value == null ? el.removeAttribute(name) : el.setAttribute(name, value);
    return true;
  };
  const texted = (el, text) => {
    let changed = false;
    for (const node of [...el.childNodes]) {
      if (node.nodeType === 1 && !node.hasAttribute(MARK)) changed = hidden(node) || changed;
      if (node.nodeType !== 3) continue;
      if (node.data !== text) node.data = text, changed = true;
      text = '';
    }
    if (text) el.append(text);
    return changed || text !== '';
  };
  const PREVIOUS = 'previousElementSibling', NEXT = 'nextElementSibling';
  const WAYS = { // where to look first, and then further
    before: [PREVIOUS, PREVIOUS], after: [NEXT, NEXT], prepend: ['firstElementChild', NEXT], append: ['lastElementChild', PREVIOUS],
  };
  const inserted = (el, op, way) => {
    if (op.placed.has(el) && op.placed.get(el)[0].isConnected) return false;
    const template = document.createElement('template');
    template.innerHTML = policy ? policy.createHTML(op.html) : op.html;
    const made = [...template.content.children], mark = made[0].getAttribute(MARK), [near, further] = WAYS[way], there = [];
    for (let node = el[near]; node && node.hasAttribute(MARK); node = node[further]) {
      if (node.getAttribute(MARK) === mark) there.push(node); // the edge wrote it
    }
    op.placed.set(el, there[0] ? there : made);
    return !there[0] && (el[way](template.content), true);
  };
  const VERBS = {
    insert: (el, op) => inserted(el, op, op.way),
    inner: (el, op) => inserted(el, op, 'append') && (texted(el, ''), true),
    replace: (el, op) => hidden(el) | inserted(el, op, 'after'),
    text: (el, op) => texted(el, op.text),
    attribute: (el, op) => attribute(el, op.name, op.value),
    style: (el, op) => styled(el, op.properties),
    classes(el, op) {
      const wrong = op.names.filter(name => el.classList.contains(name) === !op.add);
      wrong.forEach(name => el.classList.toggle(name));
      return wrong.length > 0;
    },
    parameters(el, op) {
      if (!/^http/.test(el.href)) return false;
      const url = new URL(el.href);
      for (const name in op.parameters) url.searchParams.set(name, op.parameters[name]);
      return el.href !== url.href && attribute(el, 'href', url.href);
    },
    move(_, op, all) {
      const [anchor] = found({ target: op.anchor }), [near, further] = WAYS[op.way];
      if (!anchor || all.includes(anchor)) return false;
      let node = anchor[near];
      const row = further === NEXT ? all : [...all].reverse();
      if (row.every(el => el === node && (node = el[further], true))) return false;
      const into = op.way.endsWith('pend') ? anchor : anchor.parentNode;
      if (op.waits && all.some(el => el.parentNode !== into)) return false; // a framework would miss it
      anchor[op.way](...all);
      return true;
    },
    order(el, op) {
      const first = op.order.flatMap(target => found({ target })).filter(child => op.adopt || child.parentNode === el);
      if (first.every((child, at) => el.children[at] === child)) return false;
      el.prepend(...first);
      return true;
    },
    css(_, op) {
      if (op.adopted || (op.guarded && document.querySelector(`style[${MARK}]`))) return false;
      const sheet = new CSSStyleSheet(); // no policy speaks of it
      sheet.replaceSync(op.css);
      document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
      return (op.adopted = true);
    },
  };

  // ---- frameworks: an element of theirs is left alone until they have taken it over

  let settled = false;
  const old = new WeakSet(), taken = new WeakMap();
  const owned = el => {
    if (Object.keys(el).some(key => /^__react[FIC]/.test(key))) return true;
    for (let node = el; node; node = node.parentElement) {
      if (node.__vue_app__ || node.__ngContext__ || node.matches('astro-island:not([ssr])')) return true;
    }
    return false;
  };
  const ready = el => {
    if (settled) return true;
    if (!owned(el)) return false;
    if (!taken.has(el)) taken.set(el, now());
    return !old.has(el) || now() - taken.get(el) >= BREATH; // hydration goes in slices; what is new is already theirs
  };

  // ---- sweeps: everything that is due is made so

  const claims = {};
  const claimed = (el, op) => {
    const slot = op.name || /text|inner|replace/.test(op.verb);
    if (!slot) return false;
    const first = claims[slot] = claims[slot] || new WeakMap();
    if (!first.has(el)) first.set(el, op);
    return first.get(el) !== op;
  };
  const found = op => {
    const elements = [...document.querySelectorAll(op.target.selector)];
    const free = elements.filter(el => !el.matches(NEVER) && !el.closest(`body [${MARK}]`));
    return elements.length > op.target.maxMatches ? [] : free;
  };
  let waiting = 0, swept = -BREATH;
  const carryOut = (group, op) => {
    let changed = null;
    for (const [el, nodes] of op.placed) if (!el.isConnected) nodes.forEach(node => node.remove()), op.placed.delete(el);
    const all = found(op);
    for (const el of all) {
      if (op.waits && !ready(el)) waiting = BREATH;
      else if (!claimed(el, op) && VERBS[op.verb](el, op, all) && (!old.delete(el) || op.guarded)) changed = el;
    }
    if (!changed) return;
    if (now() - op.last > CALM) op.tries = 0;
    op.last = now();
    if (op.tries) op.next = op.last + 25 * 2 ** op.tries;
    if (op.tries++ < TRIES) return;
    op.over = true;
    changed.setAttribute(`${MARK}-gave-up`, group.id);
  };
  const sweep = () => {
    clearTimeout(waiting);
    waiting = 0;
    swept = now();
    for (const group of groups) {
      if (!group.on && group.look) group.look();
      group.begun = group.begun || !group.operations.some(op => op.target.required && (op.over || !found(op).length));
      for (const op of group.on && group.begun ? group.operations : []) {
        if (op.over) continue;
        if (op.next > swept) waiting = BREATH;
        else try { carryOut(group, op); } catch (_) { op.over = true; }
      }
    }
    if (observer) observer.takeRecords(); // what was just done is no news
    if (waiting) waiting = setTimeout(sweep, waiting);
  };
  const soon = () => {
    if (now() - swept >= BREATH) sweep(); // before the next paint, so that nothing flickers
    else if (!waiting) waiting = setTimeout(sweep, BREATH);
  };

  // ---- events that a group may wait for; each calls `go` once or more

  const EVENTS = {
    scrollDepth(when, go, on) {
      const look = () => (scrollY + innerHeight) * 100 >= document.scrollingElement.scrollHeight * when.percent && go();
      on('scroll', look);
      on('load', look);
    },
    exitIntent: (_, go, on) => on('mouseout', event => !event.relatedTarget && event.clientY <= 0 && go()),
    idle(when, go, on) {
      let timer;
      const again = () => {
        clearTimeout(timer);
        timer = setTimeout(go, when.seconds * 1000);
      };
      for (const name of ['pointermove', 'pointerdown', 'keydown', 'scroll']) on(name, again);
      again();
    },
    visible(when, go) {
      const seen = new IntersectionObserver(entries => entries.some(entry => entry.isIntersecting) && go());
      const look = () => found(when).forEach(el => seen.observe(el)); // observing one twice is observing it
      look();
      return look;
    },
    customEvent: (when, go, on) => on(when.name, go),
  };
  const listen = group => {
    const on = (name, hear) => addEventListener(name, event => group.on || hear(event), { capture: true, passive: true });
    const go = () => {
      group.on = true;
      sweep();
    };
    group.look = EVENTS[group.when.event](group.when, go, on);
  };

  const observer = self.MutationObserver && new MutationObserver(soon);
  for (const group of groups) {
    group.on = !group.when;
    for (const op of group.operations) {
      Object.assign(op, { guarded: group.guarded, placed: new Map(), tries: group.guarded ? 1 : 0, last: now(), next: 0 });
      try { found(op).forEach(el => old.add(el)); } catch (_) { op.over = true; }
    }
    try { if (group.when) listen(group); } catch (_) {} // a browser without it: the page stays as it is
  }
  if (observer) observer.observe(document, { childList: true, characterData: true, attributes: true, subtree: true });
  addEventListener('load', () => setTimeout(() => { settled = true; sweep(); }, PATIENCE));
  sweep();
})();
