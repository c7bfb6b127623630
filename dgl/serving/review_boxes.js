// The image with its boxes: draws them, and turns drags into moved, resized and new boxes.

const SVG = "http://www.w3.org/2000/svg";
const HANDLE = 11; // pixels on the screen
const CLICK = 4; // a shorter way of the pointer is a click
const SMALLEST = 2; // pixels of the image
const MOST_ZOOM = 24;

/** The color of a class, the same on every image. */
export function colorOf(index) {
  return `hsl(${(index * 137.508 + 140) % 360} 85% 62%)`;
}

export class Boxes {
  /**
   * @param stage the element that images fill.
   * @param on {choose(place), change(place, box), draw(box)}: what a person did.
   */
  constructor(stage, on) {
    this.stage = stage;
    this.on = on;
    this.frame = stage.querySelector("#frame");
    this.svg = stage.querySelector("#boxes");
    this.tags = stage.querySelector("#tags");
    this.image = null;
    this.chosen = -1;
    this.drag = null;
    this.zoom = 1;
    new ResizeObserver(() => this.fit()).observe(stage);
    stage.addEventListener("pointerdown", (event) => this.down(event));
    // Browsers would drag the image, or a text that is selected.
    stage.addEventListener("mousedown", (event) => event.preventDefault());
    stage.addEventListener("dragstart", (event) => event.preventDefault());
    stage.addEventListener("pointermove", (event) => this.move(event));
    stage.addEventListener("pointerup", (event) => this.up(event));
    stage.addEventListener("pointercancel", () => this.cancel());
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  /** Show an image's boxes: {width, height, objects}; the zoom stays with the same image. */
  show(image, chosen) {
    if (!this.image || this.image.number !== image.number) this.zoom = 1;
    this.image = image;
    this.chosen = chosen;
    this.fit();
  }

  /** Whether the next drag draws a box, wherever it begins. */
  set drawing(on) {
    this.stage.classList.toggle("drawing", on);
  }

  get drawing() {
    return this.stage.classList.contains("drawing");
  }

  /** Forget a drag that has begun; true if there was one. */
  cancel() {
    const had = this.drag !== null || this.drawing;
    this.drag = null;
    this.drawing = false;
    this.render();
    return had;
  }

  fit() {
    if (!this.image) return;
    const { clientWidth, clientHeight } = this.stage;
    const { width, height } = this.image;
    const margin = 24;
    const whole = Math.min((clientWidth - 2 * margin) / width, (clientHeight - 2 * margin) / height);
    this.scale = Math.max(whole, 0.001) * this.zoom;
    if (this.zoom === 1) {
      this.left = (clientWidth - width * this.scale) / 2;
      this.top = (clientHeight - height * this.scale) / 2;
    }
    Object.assign(this.frame.style, {
      width: `${width * this.scale}px`,
      height: `${height * this.scale}px`,
      transform: `translate(${this.left}px, ${this.top}px)`,
    });
    this.render();
  }

  wheel(event) {
    if (!this.image) return;
    event.preventDefault();
    const zoom = Math.min(MOST_ZOOM, Math.max(1, this.zoom * Math.exp(-event.deltaY / 400)));
    const [x, y] = this.point(event, false);
    const old = this.scale;
    const at = [this.left + x * old, this.top + y * old];
    this.zoom = zoom < 1.02 ? 1 : zoom;
    this.fit();
    if (this.zoom !== 1) {
      this.left = at[0] - x * this.scale;
      this.top = at[1] - y * this.scale;
      this.fit();
    }
  }

  /** Where the pointer is, in pixels of the image. */
  point(event, inside = true) {
    const frame = this.stage.getBoundingClientRect();
    const x = (event.clientX - frame.left - this.left) / this.scale;
    const y = (event.clientY - frame.top - this.top) / this.scale;
    if (!inside) return [x, y];
    return [Math.min(Math.max(x, 0), this.image.width), Math.min(Math.max(y, 0), this.image.height)];
  }

  /** The object under the pointer: the chosen one, or else the smallest. */
  under([x, y]) {
    const area = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);
    const holds = ([x0, y0, x1, y1]) => x0 <= x && x <= x1 && y0 <= y && y <= y1;
    const places = this.image.objects.map((_, place) => place);
    const found = places.filter((place) => holds(this.image.objects[place].box));
    found.sort((a, b) => area(this.image.objects[a].box) - area(this.image.objects[b].box));
    return found.length ? found[0] : -1;
  }

  down(event) {
    if (!this.image || event.button > 1) return;
    this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    const point = this.point(event);
    const chosen = this.image.objects[this.chosen];
    const sides = event.target.dataset.sides;
    const start = { x: event.clientX, y: event.clientY, point, moved: false };
    if (event.button === 1) {
      this.drag = { ...start, sides: "pan", left: this.left, top: this.top, box: [0, 0, 0, 0] };
    } else if (sides && chosen && !this.drawing) {
      this.drag = { ...start, sides, box: [...chosen.box], from: chosen.box };
    } else if (chosen && !this.drawing && !event.shiftKey && event.target.classList.contains("chosen")) {
      this.drag = { ...start, sides: "move", box: [...chosen.box], from: chosen.box };
    } else {
      this.drag = { ...start, sides: "new", box: [...point, ...point] };
    }
  }

  move(event) {
    const drag = this.drag;
    if (!drag) return;
    if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) >= CLICK) drag.moved = true;
    if (!drag.moved) return;
    const [x, y] = this.point(event);
    const { width, height } = this.image;
    if (drag.sides === "pan") {
      if (this.zoom === 1) return;
      this.left = drag.left + event.clientX - drag.x;
      this.top = drag.top + event.clientY - drag.y;
      return this.fit();
    }
    if (drag.sides === "new") {
      const [x0, y0] = drag.point;
      drag.box = [Math.min(x0, x), Math.min(y0, y), Math.max(x0, x), Math.max(y0, y)];
    } else if (drag.sides === "move") {
      const [x0, y0, x1, y1] = drag.from;
      const dx = Math.min(Math.max(x - drag.point[0], -x0), width - x1);
      const dy = Math.min(Math.max(y - drag.point[1], -y0), height - y1);
      drag.box = [x0 + dx, y0 + dy, x1 + dx, y1 + dy];
    } else {
      const box = [...drag.from];
      if (drag.sides.includes("w")) box[0] = Math.min(x, box[2] - SMALLEST);
      if (drag.sides.includes("n")) box[1] = Math.min(y, box[3] - SMALLEST);
      if (drag.sides.includes("e")) box[2] = Math.max(x, box[0] + SMALLEST);
      if (drag.sides.includes("s")) box[3] = Math.max(y, box[1] + SMALLEST);
      drag.box = box;
    }
    this.render();
  }

  up(event) {
    const drag = this.drag;
    if (!drag) return;
    this.drag = null;
    if (drag.sides === "pan") return;
    const box = drag.box.map((side) => Math.round(side * 100) / 100);
    if (!drag.moved) {
      this.drawing = false;
      const place = this.under(drag.point);
      if (place >= 0 || drag.sides === "new") this.on.choose(place);
    } else if (drag.sides !== "new") {
      this.on.change(this.chosen, box);
    } else if (box[2] - box[0] >= SMALLEST && box[3] - box[1] >= SMALLEST) {
      this.drawing = false;
      this.on.draw(box);
    }
    this.render();
  }

  render() {
    const { image, scale, drag } = this;
    if (!image) return;
    const { width, height } = image;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren();
    this.tags.replaceChildren();
    const order = image.objects.map((_, place) => place);
    // Large boxes first, so that small ones can be clicked; the chosen one on top.
    const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
    order.sort((a, b) => area(image.objects[b].box) - area(image.objects[a].box));
    order.sort((a, b) => (a === this.chosen) - (b === this.chosen));
    for (const place of order) {
      const object = image.objects[place];
      const chosen = place === this.chosen;
      const box = chosen && drag && drag.from ? drag.box : object.box;
      const color = colorOf(object.class_index);
      for (const outline of (box === object.box && object.polygons) || []) {
        const polygon = this.add("polygon", { points: outline.join(" "), class: "outline" });
        polygon.style.color = color;
      }
      this.rect(box, `rim${chosen ? " chosen" : ""}`);
      this.rect(box, `box${chosen ? " chosen" : ""}`).style.stroke = color;
      this.tag(box, object.class_name, color, chosen);
    }
    if (drag && drag.moved && drag.sides === "new") {
      this.rect(drag.box, "rim");
      this.rect(drag.box, "box").style.stroke = "#fff";
    }
    const chosen = image.objects[this.chosen];
    if (chosen && !this.drawing) {
      this.handles(drag && drag.from ? drag.box : chosen.box, HANDLE / scale);
    }
  }

  handles([x0, y0, x1, y1], side) {
    const middle = [(x0 + x1) / 2, (y0 + y1) / 2];
    const edges = { n: [middle[0], y0], s: [middle[0], y1], w: [x0, middle[1]], e: [x1, middle[1]] };
    const corners = { nw: [x0, y0], ne: [x1, y0], sw: [x0, y1], se: [x1, y1] };
    // On a box that is small on the screen, handles of the edges would hide it.
    const all = Math.min(x1 - x0, y1 - y0) > 4 * side ? { ...edges, ...corners } : corners;
    for (const [sides, [x, y]] of Object.entries(all)) {
      const box = [x - side / 2, y - side / 2, x + side / 2, y + side / 2];
      const handle = this.rect(box, "handle");
      handle.dataset.sides = sides;
      handle.style.cursor = `${sides}-resize`;
    }
  }

  rect([x0, y0, x1, y1], name) {
    return this.add("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: name });
  }

  add(kind, attributes) {
    const element = document.createElementNS(SVG, kind);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    this.svg.append(element);
    return element;
  }

  tag(box, text, color, chosen) {
    const tag = document.createElement("div");
    const isAbove = this.top + box[1] * this.scale > 30;
    tag.className = `tag${isAbove ? "" : " inside"}${chosen ? " chosen" : ""}`;
    tag.textContent = text;
    Object.assign(tag.style, {
      left: `${box[0] * this.scale}px`,
      top: `${box[1] * this.scale}px`,
      background: color,
    });
    this.tags.append(tag);
  }
}
