// What the player says, in English and Chinese.

const WORDS = {
  "player": ["Player", "播放器"],
  "play": ["Play", "播放"],
  "pause": ["Pause", "暂停"],
  "position": ["Position", "播放位置"],
  "position of": ["{time} of {length}", "{time}，共 {length}"],
  "speed": ["Speed", "速度"],
  "loop": ["Loop", "循环"],
  "zoom in": ["Zoom in", "放大"],
  "zoom out": ["Zoom out", "缩小"],
  "whole": ["Whole recording", "整段录音"],
  "frequencies": ["Frequencies", "频率刻度"],
  "mel": ["mel", "梅尔"],
  "linear": ["linear", "线性"],
  "range": ["Range", "动态范围"],
  "colours": ["Colours", "配色"],
  "grey": ["grey", "灰度"],
  "waveform": ["Waveform", "波形"],
  "spectrogram": ["Spectrogram", "语谱图"],
  "spectrogram of": ["Spectrogram, 0 to {top} kHz", "语谱图，0 至 {top} kHz"],
  "computing": ["computing the spectrogram", "正在计算语谱图"],
  "scroll": ["Scroll through time", "沿时间滚动"],
  "lane": ["Labels “{name}”, {count}", "标签“{name}”，{count} 个"],
  "scores": ["Scores “{name}” of {labels}", "得分“{name}”：{labels}"],
  "item": ["{label}, {start} to {end} s, {place} of {count}", "{label}，{start} 至 {end} 秒，第 {place} 个，共 {count} 个"],
  "unnamed": ["unnamed", "未命名"],
  "name of label": ["Name of the label", "标签名称"],
  "deleted": ["{label} deleted", "已删除 {label}"],
  "looping": ["Loop from {start} to {end} s", "循环 {start} 至 {end} 秒"],
  "loop off": ["Loop off", "循环已关闭"],
  "keys": ["Keys", "快捷键"],
  "keys play": [
    "Space plays, ←/→ go 1 s (shift 5 s), Home/End, +/− zoom, L loops, [ ] speed. Drag over the picture to loop a part.",
    "空格播放，←/→ 移动 1 秒（按住 Shift 移动 5 秒），Home/End，+/− 缩放，L 循环，[ ] 速度。在图上拖动即可循环一段。",
  ],
  "keys edit": [
    "On a lane: ↑/↓ choose a label, N draws one, Enter renames, Delete deletes, , and . move it by 10 ms, < and > its end.",
    "在标签轨上：↑/↓ 选择标签，N 新建，Enter 改名，Delete 删除，, 和 . 移动 10 毫秒，< 和 > 移动终点。",
  ],
  "silent": ["The recording cannot be played: {why}", "无法播放录音：{why}"],
  "not shown": ["The recording is too long to be decoded in the page.", "录音太长，无法在页面内解码。"],
};

/** The text of a key in a language ("en" or "zh"), with `{name}` replaced by values. */
export function say(language, key, values = {}) {
  const text = WORDS[key][language === "zh" ? 1 : 0];
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Seconds as `m:ss.s`, and with hours where there are some. */
export function clock(seconds, decimals = 1) {
  const unit = 10 ** decimals;
  const rounded = Math.round(Math.max(0, seconds) * unit) / unit;
  const hours = Math.floor(rounded / 3600);
  const minutes = Math.floor(rounded / 60) % 60;
  const rest = (rounded % 60).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}
