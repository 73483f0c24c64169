// The player brings its own style sheet, once per page; a single-file page holds it already.

const MARK = "data-earnest-player";

/** Make sure the page has the player's style, and wait until it is there. */
export function dress() {
  const present = document.querySelector(`[${MARK}]`);
  if (present) return present.loading ?? Promise.resolve();
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL("player.css", import.meta.url).href;
  link.setAttribute(MARK, "");
  link.loading = new Promise((done) => (link.onload = link.onerror = done));
  document.head.append(link);
  return link.loading;
}
