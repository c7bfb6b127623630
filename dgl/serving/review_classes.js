// The list of classes to choose from, for the chosen object: type a part of the name, arrows, Enter.

const MOST_CHOICES = 60;
const MOST_RECENT = 9;
const at = (id) => document.getElementById(id);

export class ClassPicker {
  /** @param on {take(index), close()}: a class was chosen; the list went away. */
  constructor(on) {
    this.on = on;
    this.classes = [];
    this.key = "";
    at("wanted").addEventListener("input", () => this.list());
    at("wanted").addEventListener("keydown", (event) => this.press(event));
    at("wanted").addEventListener("blur", () => setTimeout(() => this.close(), 150));
    at("choices").addEventListener("click", (event) => this.take(event.target.closest("li")));
  }

  /** Know the classes of a store; the classes used last are kept for it in this tab. */
  begin(classes, store) {
    this.classes = classes;
    this.key = `recent ${store}`;
  }

  /** Indices of the classes used last, the last one first. */
  get recent() {
    return JSON.parse(sessionStorage.getItem(this.key) || "[]");
  }

  open() {
    at("picker").hidden = false;
    at("wanted").value = "";
    this.list();
    at("wanted").focus();
  }

  close() {
    if (at("picker").hidden) return;
    at("picker").hidden = true;
    this.on.close();
  }

  list() {
    const text = at("wanted").value.trim().toLowerCase();
    let found = [...this.classes.keys()];
    if (text) {
      const where = (index) => this.classes[index].toLowerCase().indexOf(text);
      found = found.filter((index) => where(index) >= 0).sort((a, b) => where(a) - where(b) || a - b);
    } else {
      found = [...new Set([...this.recent, ...found])];
    }
    const items = found.slice(0, MOST_CHOICES).map((index, order) => {
      const item = document.createElement("li");
      item.textContent = this.classes[index];
      item.dataset.index = index;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", order === 0);
      return item;
    });
    at("choices").replaceChildren(...items);
    if (!items.length) at("choices").append("No such class.");
  }

  press(event) {
    const act = {
      Escape: () => this.close(),
      Enter: () => this.take(at("choices").querySelector('[aria-selected="true"]')),
      ArrowDown: () => this.step(1),
      ArrowUp: () => this.step(-1),
    }[event.key];
    event.stopPropagation();
    if (!act) return;
    event.preventDefault();
    act();
  }

  step(by) {
    const items = [...at("choices").children];
    const old = items.findIndex((item) => item.getAttribute("aria-selected") === "true");
    const next = items[Math.min(Math.max(old + by, 0), items.length - 1)];
    if (!next) return;
    items[old].setAttribute("aria-selected", "false");
    next.setAttribute("aria-selected", "true");
    next.scrollIntoView({ block: "nearest" });
  }

  take(item) {
    if (!item) return;
    const index = Number(item.dataset.index);
    const recent = [index, ...this.recent.filter((other) => other !== index)];
    sessionStorage.setItem(this.key, JSON.stringify(recent.slice(0, MOST_RECENT)));
    this.close();
    this.on.take(index);
  }
}
