'use strict';
// Jupyter's wire format: [identity…, <IDS|MSG>, signature, header, parent, metadata, content, buffer…].
const { createHmac, randomUUID, timingSafeEqual } = require('node:crypto');

const DELIMITER = '<IDS|MSG>';
const PROTOCOL = '5.3';

function sign(key, parts) {
  const hash = createHmac('sha256', key);
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

/** Frames of a socket → message, or null where they are no signed message. */
function unpack(key, frames) {
  const at = frames.findIndex((frame) => frame.toString() === DELIMITER);
  const parts = frames.slice(at + 2, at + 6);
  if (at < 0 || parts.length < 4) return null;
  const signature = Buffer.from(frames[at + 1].toString());
  const expected = Buffer.from(key ? sign(key, parts) : '');
  if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) return null;
  const [header, parent, metadata, content] = parts.map((part) => JSON.parse(part.toString()));
  return { identities: frames.slice(0, at), header, parent, metadata, content };
}

/** A message of `type` about `parent` → frames. `content` is JSON already. */
function pack(key, { identities, parent, type, content }) {
  const header = {
    msg_id: randomUUID(),
    session: parent?.session ?? '',
    username: parent?.username ?? 'kernel',
    date: new Date().toISOString(),
    msg_type: type,
    version: PROTOCOL,
  };
  const parts = [JSON.stringify(header), JSON.stringify(parent ?? {}), '{}', content];
  return [...identities, DELIMITER, key ? sign(key, parts) : '', ...parts];
}

module.exports = { PROTOCOL, pack, unpack };
