// Everything can be read without this: it filters, sorts and copies.
(function () {
  "use strict";

  function all(selector, within) {
    return Array.prototype.slice.call((within || document).querySelectorAll(selector));
  }

  // Cards: which are shown, and in which order.
  all("form.filters").forEach(function (form) {
    var list = document.getElementById(form.dataset.list);
    var shown = document.getElementById(form.dataset.shown);
    var cards = all(".card", list);
    var severities = ["error", "warning", "note"];
    var number = function (name) {
      return function (a, b) { return Number(b.dataset[name]) - Number(a.dataset[name]); };
    };
    var text = function (name) {
      return function (a, b) { return a.dataset[name] < b.dataset[name] ? -1 : a.dataset[name] > b.dataset[name] ? 1 : 0; };
    };
    var given = function (a, b) { return Number(a.dataset.order) - Number(b.dataset.order); };
    // What has no date comes last.
    var oldest = function (a, b) {
      if (!a.dataset.oldest || !b.dataset.oldest) { return (a.dataset.oldest ? 0 : 1) - (b.dataset.oldest ? 0 : 1); }
      return text("oldest")(a, b);
    };
    var orders = { worst: given, count: number("count"), table: text("table"), check: text("check"), oldest: oldest };

    function apply() {
      var severity = all("input[name=severity]", form).filter(function (box) { return box.checked; })
        .map(function (box) { return box.value; });
      var check = form.elements.check ? form.elements.check.value : "";
      var table = form.elements.table ? form.elements.table.value : "";
      var words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
      var order = orders[form.elements.order.value] || given;
      var count = 0;
      cards.forEach(function (card) {
        var content = card.textContent.toLowerCase();
        var fits = (severities.indexOf(card.dataset.severity) < 0 || severity.indexOf(card.dataset.severity) >= 0)
          && (!check || card.dataset.check === check)
          && (!table || card.dataset.table === table)
          && words.every(function (word) { return content.indexOf(word) >= 0; });
        card.hidden = !fits;
        count += fits ? 1 : 0;
      });
      cards.slice().sort(function (a, b) { return order(a, b) || given(a, b); })
        .forEach(function (card) { list.appendChild(card); });
      shown.textContent = count + " of " + cards.length + " shown";
    }

    form.hidden = false;
    form.addEventListener("input", apply);
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    form.addEventListener("reset", function () { setTimeout(apply, 0); });
    apply();
    // A link into the list (from the picture, say) shows its card whatever the filter says.
    function reveal() {
      var card = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
      if (card && card.hidden) { form.reset(); setTimeout(function () { card.scrollIntoView(); }, 0); }
    }
    window.addEventListener("hashchange", reveal);
  });

  // Tables: a click on a head sorts by its column.
  all("table.sortable").forEach(function (table) {
    var body = table.tBodies[0];
    all("thead th", table).forEach(function (head, column) {
      if (head.classList.contains("fixed")) { return; }
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.textContent = "";
      head.appendChild(button);
      button.addEventListener("click", function () {
        var first = head.classList.contains("number") ? "descending" : "ascending";
        var other = first === "ascending" ? "descending" : "ascending";
        var direction = head.getAttribute("aria-sort") === first ? other : first;
        all("thead th", table).forEach(function (each) { each.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", direction);
        var value = function (row) {
          var cell = row.cells[column];
          return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
        };
        Array.prototype.slice.call(body.rows)
          .sort(function (a, b) {
            var x = value(a), y = value(b);
            return (x < y ? -1 : x > y ? 1 : 0) * (direction === "ascending" ? 1 : -1);
          })
          .forEach(function (row) { body.appendChild(row); });
      });
    });
  });

  // Texts to copy. Where there is no clipboard the text is selected instead.
  all(".code").forEach(function (block) {
    var title = block.querySelector("h4").textContent;
    var code = block.querySelector("pre");
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy: " + title);
    var say = function (word) {
      button.textContent = word;
      setTimeout(function () { button.textContent = "Copy"; }, 2000);
    };
    var select = function () {
      var range = document.createRange();
      range.selectNodeContents(code);
      var selection = window.getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      say("Selected");
    };
    button.addEventListener("click", function () {
      if (!navigator.clipboard) { return select(); }
      navigator.clipboard.writeText(code.textContent).then(function () { say("Copied"); }, select);
    });
    block.querySelector("div").appendChild(button);
  });
})();
