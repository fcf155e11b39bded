import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * What ffprobe makes of a track file: its codec, its length, and what it has to complain of.
 * The length is that of the packets, so that a header that promises too much does not pass.
 * @param {string} file
 */
export async function probeTrack(file) {
  const { stdout, stderr } = await run('ffprobe', [
    '-v', 'error', '-show_entries', 'stream=codec_name:packet=pts_time,duration_time', '-of', 'json', file,
  ], { maxBuffer: 64 * 1024 * 1024 });
  const { streams, packets } = JSON.parse(stdout);
  const times = packets.map((packet) => Number(packet.pts_time));
  const ends = packets.map((packet) => Number(packet.pts_time) + Number(packet.duration_time ?? 0));
  return {
    codec: streams[0]?.codec_name,
    durationMs: (Math.max(...ends) - Math.min(...times)) * 1000,
    complaints: stderr.trim(),
  };
}

/**
 * What a full decode of a track file complains of.
 * @param {string} file
 */
export async function decodeTrack(file) {
  // Frames keep their own times: on an even frame rate, two that a busy camera took in one interval would be a complaint.
  const { stderr } = await run('ffmpeg', [
    '-v', 'error', '-i', file, '-fps_mode', 'passthrough', '-enc_time_base', '-1', '-f', 'null', '-',
  ]);
  return stderr.trim();
}
