// Sort and filter the gallery. Classes, entries and cases are indices.
(function () {
  "use strict";
  var index = JSON.parse(document.getElementById("gallery-index").textContent);
  var list = document.getElementById("images");
  var form = document.getElementById("controls");
  var count = document.getElementById("count");
  var none = document.getElementById("none");
  var articles = Array.prototype.slice.call(list.children);

  // The number chosen, or null where there is no such control or nothing is chosen.
  function chosen(name) {
    var control = form.elements[name];
    return control && control.value !== "" ? Number(control.value) : null;
  }

  function fits(item, entry) {
    var tests = [
      [chosen("class"), item.c],
      [chosen("correct"), item.k],
      [chosen("located"), entry === null ? -1 : item.r[entry]],
      [chosen("case"), entry === null ? -1 : item.f[entry]]
    ];
    return tests.every(function (test) { return test[0] === null || test[0] === test[1]; });
  }

  // Highlight the verdict of the chosen entry, also when all of them are folded.
  function mark(article, entry) {
    var verdicts = article.querySelectorAll(".ious li");
    var now = article.querySelector(".now");
    Array.prototype.forEach.call(verdicts, function (verdict, position) {
      verdict.classList.toggle("chosen", position === entry);
    });
    if (now && verdicts[entry]) {
      now.hidden = false;
      now.className = "now " + verdicts[entry].className.replace(" chosen", "");
      now.textContent = verdicts[entry].textContent;
    }
  }

  function update() {
    var entry = chosen("entry");
    var direction = chosen("order") || 1;
    var order = index.map(function (_, position) { return position; });
    if (entry !== null) {
      // Images without an IoU come last, whichever way.
      order.sort(function (a, b) {
        var x = index[a].i[entry], y = index[b].i[entry];
        if (x === null || y === null) {
          return (x === null) - (y === null) || a - b;
        }
        return direction * (y - x) || a - b;
      });
    }
    var shown = 0;
    order.forEach(function (position) {
      var article = articles[position];
      var visible = fits(index[position], entry);
      article.hidden = !visible;
      shown += visible;
      mark(article, entry);
      list.appendChild(article);
    });
    count.textContent = shown + " of " + index.length + " images";
    none.hidden = shown > 0;
  }

  form.addEventListener("change", update);
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  form.addEventListener("reset", function () { setTimeout(update, 0); });
  form.hidden = false;
  update();
}());
