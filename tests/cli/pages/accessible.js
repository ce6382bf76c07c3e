// What would shut somebody out, as a list of sentences; empty if nothing does.
(function () {
  var complaints = [];
  var all = function (selector) { return Array.from(document.querySelectorAll(selector)); };
  var say = function (element, what) {
    complaints.push(what + ": " + element.outerHTML.slice(0, 120));
  };

  if (document.documentElement.lang !== "en") { complaints.push("no language"); }
  ["header", "main", "footer", "nav"].forEach(function (name) {
    var direct = name === "nav" ? "nav" : "body > " + name;
    if (all(direct).length !== 1) { complaints.push(all(direct).length + " landmarks " + name); }
  });
  if (all("h1").length !== 1) { complaints.push(all("h1").length + " h1"); }
  var level = 1;
  all("h1, h2, h3, h4").forEach(function (heading) {
    var next = Number(heading.tagName[1]);
    if (next > level + 1) { say(heading, "a level of headings is left out"); }
    level = next;
  });

  var ids = {};
  all("[id]").forEach(function (element) {
    if (ids[element.id]) { say(element, "the id is there twice"); }
    ids[element.id] = true;
  });
  all("a[href^='#']").forEach(function (link) {
    if (!document.getElementById(link.getAttribute("href").slice(1))) { say(link, "leads nowhere"); }
  });
  all("[aria-labelledby]").forEach(function (element) {
    if (!document.getElementById(element.getAttribute("aria-labelledby"))) { say(element, "no label"); }
  });
  all("input, select").forEach(function (field) {
    if (!field.labels.length || !field.labels[0].textContent.trim()) { say(field, "no label"); }
  });
  all("button, summary, a").forEach(function (element) {
    var name = element.getAttribute("aria-label") || element.textContent;
    if (!name.trim()) { say(element, "no name"); }
  });
  all("table").forEach(function (table) {
    if (!table.querySelector("thead th[scope=col]")) { say(table, "no heads"); }
  });
  all("th").forEach(function (head) {
    if (!head.hasAttribute("scope")) { say(head, "a head of nothing"); }
    if (!head.textContent.trim()) { say(head, "an empty head"); }
  });
  all("svg").forEach(function (picture) {
    if (picture.getAttribute("aria-hidden") !== "true" && !picture.getAttribute("aria-label")) {
      say(picture, "a picture without words");
    }
  });
  all(".scroll").forEach(function (region) {
    if (region.tabIndex !== 0 || !region.getAttribute("aria-label")) { say(region, "cannot be scrolled by keyboard"); }
  });

  // Contrast of each text with what is behind it (WCAG 2.2, 1.4.3).
  var colour = function (text) { return (text.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number); };
  var light = function (rgb) {
    var part = rgb.slice(0, 3).map(function (v) {
      v /= 255;
      return v <= 0.04045 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4);
    });
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  var behind = function (element) {
    for (var e = element; e; e = e.parentElement) {
      var back = colour(getComputedStyle(e).backgroundColor);
      if (back.length < 4 || back[3] > 0) { return back; }
    }
    return [255, 255, 255];
  };
  all("body *").forEach(function (element) {
    if (element.closest("svg, script, .sr, .skip, [hidden]")) { return; }
    var own = Array.from(element.childNodes).some(function (n) { return n.nodeType === 3 && n.data.trim(); });
    if (!own) { return; }
    var style = getComputedStyle(element);
    var front = colour(style.color), back = behind(element), seen = 1;
    for (var e = element; e; e = e.parentElement) { seen *= Number(getComputedStyle(e).opacity); }
    var mixed = front.slice(0, 3).map(function (v, i) { return v * seen + back[i] * (1 - seen); });
    var a = light(mixed), b = light(back);
    var ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) { say(element, "contrast " + ratio.toFixed(2)); }
  });
  return complaints;
})()
