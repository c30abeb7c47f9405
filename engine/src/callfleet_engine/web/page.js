// Parts of the page, what it says, and what it asks the person for.

import { cameraWanted } from './quality.js';

export const element = (id) => document.getElementById(id);

export function showState(text) {
  element('state').textContent = text;
}

export function showProblem(message, remedy = '') {
  element('problem-message').textContent = message;
  element('problem-remedy').textContent = remedy;
  element('problem').hidden = !message;
}

// A track of the microphone or camera, or null with the reason shown; `preset` is of quality.
export async function capture(kind, preset) {
  const name = kind === 'audio' ? 'microphone' : 'camera';
  if (!navigator.mediaDevices) {
    showProblem(
      `The browser gives no ${name} to a page without HTTPS.`,
      'Open the page by https:// or as localhost.',
    );
    return null;
  }
  try {
    const wanted = kind === 'audio' ? true : cameraWanted(preset);
    const stream = await navigator.mediaDevices.getUserMedia({ [kind]: wanted });
    return stream.getTracks()[0];
  } catch (error) {
    showProblem(
      `There is no ${name} to use (${error.name}).`,
      error.name === 'NotAllowedError'
        ? `Allow this page to use the ${name} and switch it on again.`
        : `Connect a ${name} that no other program uses.`,
    );
    return null;
  }
}

// A track of what the person chooses to show, or null with the reason shown.
export async function captureScreen() {
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({ video: true });
    return stream.getTracks()[0];
  } catch (error) {
    showProblem(`Your screen is not shared (${error.name}).`, 'Choose a screen or window again.');
    return null;
  }
}
