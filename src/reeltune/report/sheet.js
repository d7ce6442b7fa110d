"use strict";
// Filters the cards, plays what is in sight, and counts what could not be loaded.
const root = document.documentElement;
const cards = [...document.querySelectorAll(".card")];
const rows = [...document.querySelectorAll(".left tbody tr")];
const field = (name) => document.getElementById(name);
const NAMES = ["text", "bucket", "dataset", "marked", "open"];

const valueOf = (input) => (input.type === "checkbox" ? (input.checked ? "1" : "") : input.value);

function filter() {
  const [text, bucket, dataset, marked] = NAMES.map((name) => valueOf(field(name)));
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (part) =>
    (!dataset || part.dataset.dataset === dataset) &&
    words.every((word) => part.querySelector(".searched").textContent.toLowerCase().includes(word));
  for (const card of cards) {
    card.hidden = !fits(card) || (bucket && card.dataset.bucket !== bucket) || (marked && !card.matches(".marked"));
  }
  for (const row of rows) row.hidden = !fits(row);
  for (const section of document.querySelectorAll("section.bucket")) {
    section.hidden = !section.querySelector(".card:not([hidden])");
  }
  const shown = cards.filter((card) => !card.hidden).length;
  field("count").value = `${shown} of ${cards.length} shown`;
}

function remember() {
  const chosen = NAMES.map((name) => [name, valueOf(field(name))]).filter(([, value]) => value);
  const hash = new URLSearchParams(chosen).toString();
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

function recall() {
  const chosen = new URLSearchParams(location.hash.slice(1));
  for (const name of NAMES) {
    const input = field(name);
    if (input.type === "checkbox") input.checked = chosen.get(name) === "1";
    else input.value = chosen.get(name) || "";
  }
  unfold();
  filter();
}

function unfold() {
  for (const fold of document.querySelectorAll(".card details")) fold.open = field("open").checked;
}

function settle(medium, state) {
  medium.dataset.state = state;
  const bad = document.querySelectorAll("[data-state=missing], [data-state=length]").length;
  root.dataset.bad = bad;
  field("bad").hidden = !bad;
  field("bad").textContent =
    `${bad} of the pictures and videos cannot be shown, or are not as long as they should be. ` +
    "Is the folder media beside this page, as it was written?";
}

for (const video of document.querySelectorAll("video")) {
  video.addEventListener("loadedmetadata", () => {
    const wanted = video.dataset.frames / video.dataset.fps;
    settle(video, Math.abs(video.duration - wanted) < 0.5 / video.dataset.fps ? "loaded" : "length");
  });
  video.addEventListener("error", () => settle(video, "missing"));
}
for (const image of document.images) {
  const look = () => settle(image, image.naturalWidth ? "loaded" : "missing");
  if (image.complete && image.getAttribute("loading") !== "lazy") look();
  image.addEventListener("load", look);
  image.addEventListener("error", look);
}

const still = matchMedia("(prefers-reduced-motion: reduce)");
const play = (video) => video.play().catch(() => {});
// Only what is near the window is read, and only what is in it plays.
const near = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => (target.preload = "metadata")),
  { rootMargin: "100% 0px" },
);
const visible = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && !still.matches) play(target);
    else target.pause();
  }
});
for (const video of document.querySelectorAll("video")) {
  near.observe(video);
  visible.observe(video);
  for (const name of ["pointerenter", "focus"]) video.addEventListener(name, () => still.matches && play(video));
  for (const name of ["pointerleave", "blur"]) video.addEventListener(name, () => still.matches && video.pause());
}

for (const name of NAMES) field(name).addEventListener("input", () => (remember(), filter()));
field("open").addEventListener("input", unfold);
addEventListener("hashchange", recall);
recall();
root.dataset.ready = "1";
