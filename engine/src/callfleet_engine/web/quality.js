// Presets of quality: what the server offers, and what the browser is told of the chosen one.
// A preset is undefined where the server is older than presets.

const PRESETS_URL = '/api/v1/quality';

// Without a preset.
const PICTURE = { height: 720, framesPerSecond: 30 };

// Layers of a camera, lowest first; each is half as high as the next.
const RIDS = ['q', 'h', 'f'];

// Their shares of the bits, by how many there are. Where the lowest would get too few bits to be
// worth looking at, there is one layer less.
const SHARES = [[1], [0.23, 0.77], [0.07, 0.21, 0.72]];
const LEAST_BITS = 50_000;

let known = { presets: {} };

// Fill a select with the presets and their default; it stays hidden if they cannot be had.
export async function offerPresets(select) {
  const response = await fetch(PRESETS_URL);
  if (!response.ok) return;
  known = await response.json();
  for (const [name, preset] of Object.entries(known.presets)) {
    select.append(new Option(described(name, preset), name, false, name === known.default));
  }
  select.value = known.default;
  for (const label of select.labels) label.hidden = false;
  select.hidden = false;
}

export function presetNamed(name) {
  return known.presets[name];
}

function described(name, preset) {
  if (!hasVideo(preset)) return `${name} – no picture`;
  return `${name} – ${preset.height}p, ${preset.framesPerSecond} frames a second`;
}

export function hasVideo(preset) {
  return preset === undefined || preset.height !== undefined;
}

// What getUserMedia is asked for.
export function cameraWanted(preset) {
  const { height, framesPerSecond } = { ...PICTURE, ...preset };
  return {
    width: { ideal: Math.round((height * 16) / 9) },
    height: { ideal: height },
    frameRate: { ideal: framesPerSecond },
  };
}

// sendEncodings of a camera; its track may be missing still.
export function cameraEncodings(preset, track) {
  const shares = layersOf(preset);
  const rids = RIDS.slice(-shares.length);
  return shares.map((share, index) => ({
    ...(shares.length > 1 ? { rid: rids[index] } : {}),
    scaleResolutionDownBy: tooHigh(preset, track) * 2 ** (shares.length - 1 - index),
    scalabilityMode: 'L1T1',
    ...bounds(preset, share),
  }));
}

export function screenEncodings(preset) {
  return [bounds(preset, 1)];
}

export function microphoneEncodings(preset) {
  return preset === undefined ? [{}] : [{ maxBitrate: preset.audioBitsPerSecond }];
}

function layersOf(preset) {
  if (preset === undefined) return SHARES.at(-1);
  const bits = preset.videoBitsPerSecond ?? 0;
  return SHARES.findLast(([lowest]) => lowest * bits >= LEAST_BITS) ?? SHARES[0];
}

function bounds(preset, share) {
  if (preset?.videoBitsPerSecond === undefined) return {};
  return {
    maxBitrate: Math.floor(preset.videoBitsPerSecond * share),
    maxFramerate: preset.framesPerSecond,
  };
}

// By how much a camera's picture is higher than it may be, upright or not: not every browser makes
// it as small as it was asked to.
function tooHigh(preset, track) {
  const { width, height } = track?.getSettings() ?? {};
  if (preset?.height === undefined || !width || !height) return 1;
  return Math.max(1, Math.min(width, height) / preset.height);
}
