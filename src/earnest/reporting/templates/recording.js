// The page of one recording: its player, in the browser's language.
(() => {
  const options = JSON.parse(document.getElementById("options").textContent);
  const { tiles } = options;
  if (tiles) {
    const { pictures, finest } = tiles;
    Object.assign(tiles, { scales: ["mel"], url: (level, index) => pictures[level - finest][index] });
  }
  const language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
  if (language === "zh") {
    document.documentElement.lang = "zh-Hans";
    for (const name of document.querySelectorAll("[data-zh]")) name.textContent = name.dataset.zh;
  }
  EarnestPlayer.Player.create(document.getElementById("player"), { ...options, language }).then((player) => {
    window.player = player;
  });
})();
