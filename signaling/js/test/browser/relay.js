/**
 * What stands between a client and the media port and gives it another address, as a NAT does.
 */
import dgram from 'node:dgram';
import { once } from 'node:events';

/**
 * @param {import('node:test').TestContext} t
 * @param {number} port of the server's media
 * @param {string} [address] of both
 */
export async function openRelay(t, port, address = '127.0.0.1') {
  /** By the client's address, what the server sees it come from. @type {Map<string, import('node:dgram').Socket>} */
  const outer = new Map();
  const lost = new Set();
  const inner = dgram.createSocket('udp4');
  const leave = (/** @type {import('node:dgram').RemoteInfo} */ client) => {
    const socket = dgram.createSocket('udp4');
    socket.on('message', (datagram) => inner.send(datagram, client.port, client.address));
    outer.set(`${client.address} ${client.port}`, socket);
    return socket;
  };
  inner.on('message', (datagram, client) => {
    if (lost.has(`${client.address} ${client.port}`)) return;
    (outer.get(`${client.address} ${client.port}`) ?? leave(client)).send(datagram, port, address);
  });
  const forget = () => {
    for (const socket of outer.values()) socket.close();
    outer.clear();
  };
  inner.bind(0, address);
  await once(inner, 'listening');
  t.after(() => {
    forget();
    inner.close();
  });
  return {
    port: inner.address().port,
    /** From now on everybody comes from another port, and what is sent to the former one is lost. */
    rebind: forget,
    /** From now on nothing passes from where clients send now, nor to there. */
    lose() {
      for (const client of outer.keys()) lost.add(client);
      forget();
    },
  };
}
