"""A client nobody here wrote publishes over WHIP and plays over WHEP, against the server's binary.

Each run: a host on a WebSocket watches the room's log, one aiortc connection publishes a picture that counts and a tone, another plays them.
What is decoded must have the right size, count upwards and sound. Then both leave by DELETE and the log must tell so.
"""

import asyncio
import contextlib
import fractions
import os
import subprocess
import sys
import tempfile

import aiohttp
import aioice.ice
import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

SIMMER = os.environ["SIMMER_BIN"]
WIDTH, HEIGHT, BITS = 640, 360, 8
RATE, TONE = 48_000, 440

# Nothing leaves this machine, and a machine without a network will do.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


class Counting(VideoStreamTrack):
    """A picture of one bright or dark bar for each bit of a number that grows by one each second frame."""

    count = 0

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        number = (self.count // 2) % (1 << BITS)
        self.count += 1
        bars = bytes(
            200 if number >> (x * BITS // WIDTH) & 1 else 50 for x in range(WIDTH)
        )
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane, value in zip(frame.planes, (None, 128, 128)):
            row = bars if value is None else bytes([value]) * plane.width
            row += bytes(plane.line_size - len(row))
            plane.update(row * plane.height)
        frame.pts, frame.time_base = pts, time_base
        return frame


class Tone(AudioStreamTrack):
    """A square wave."""

    sent = 0
    began = None

    async def recv(self):
        loop = asyncio.get_running_loop()
        self.began = self.began or loop.time()
        await asyncio.sleep(max(0, self.began + self.sent / RATE - loop.time()))
        samples = RATE // 50
        half = RATE // TONE // 2
        wave = [6000 if (self.sent + i) // half % 2 else -6000 for i in range(samples)]
        frame = av.AudioFrame(format="s16", layout="mono", samples=samples)
        frame.planes[0].update(b"".join(v.to_bytes(2, "little", signed=True) for v in wave))
        frame.sample_rate, frame.pts = RATE, self.sent
        frame.time_base = fractions.Fraction(1, RATE)
        self.sent += samples
        return frame


def number_in(frame):
    """The number that a picture shows."""
    plane = frame.reformat(format="gray").planes[0]
    pixels, middle = bytes(plane), plane.line_size * (plane.height // 2)
    bars = [pixels[middle + (2 * bit + 1) * WIDTH // BITS // 2] for bit in range(BITS)]
    return sum((bar > 125) << bit for bit, bar in enumerate(bars))


def token(room, identity, role="participant"):
    arguments = ["token", "--room", room, "--identity", identity, "--role", role]
    return subprocess.run([SIMMER, *arguments], check=True, capture_output=True, text=True).stdout.strip()


@contextlib.asynccontextmanager
async def server():
    """The server on a port of its own; its address."""
    with tempfile.TemporaryDirectory() as data:
        arguments = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--advertise", "127.0.0.1", "--data", data]
        process = await asyncio.create_subprocess_exec(SIMMER, *arguments, stdout=asyncio.subprocess.PIPE)
        try:
            line = (await process.stdout.readline()).decode()
            yield line.split()[-1].rstrip("/")
        finally:
            process.terminate()
            await process.wait()


class Resource:
    """A connection whose offer went over HTTP."""

    def __init__(self, http, base, protocol, room, identity):
        self.http, self.base = http, base
        self.url = f"{base}/v1/{protocol}/{room}"
        self.headers = {"Authorization": f"Bearer {token(room, identity)}"}
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))

    def add(self, track, kind, codec):
        """An m-line that sends the track, or receives, in this codec alone."""
        direction = "sendonly" if track else "recvonly"
        transceiver = self.connection.addTransceiver(track or kind, direction=direction)
        known = RTCRtpSender.getCapabilities(kind).codecs
        transceiver.setCodecPreferences([c for c in known if c.mimeType.lower() == f"{kind}/{codec}"])
        return transceiver.receiver

    async def open(self):
        await self.connection.setLocalDescription(await self.connection.createOffer())
        headers = {**self.headers, "Content-Type": "application/sdp"}
        offer = self.connection.localDescription.sdp
        async with self.http.post(self.url, data=offer, headers=headers) as response:
            answer = await response.text()
            assert response.status == 201, (response.status, answer)
            assert response.headers["Content-Type"] == "application/sdp"
            self.tag = response.headers["ETag"]
            self.location = self.base + response.headers["Location"]
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def trickle(self):
        """Tells the end of candidates, which is taken; with a tag of another session it is not."""
        kind = {**self.headers, "Content-Type": "application/trickle-ice-sdpfrag"}
        fragment = "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n"
        for tag, status in ((self.tag, 204), ('"x"', 412)):
            headers = {**kind, "If-Match": tag}
            async with self.http.patch(self.location, data=fragment, headers=headers) as response:
                assert response.status == status, (tag, response.status)

    async def close(self):
        for status in (200, 404):
            async with self.http.delete(self.location, headers=self.headers) as response:
                assert response.status == status, response.status
        await self.connection.close()


class Host:
    """Somebody on a WebSocket who reads the room's log."""

    def __init__(self, socket):
        self.socket, self.events = socket, []

    async def until(self, kind):
        """The next event of the kind, among those not asked for yet."""
        while True:
            message = await self.socket.receive_json()
            if message["type"] == "event":
                self.events.append(message["kind"])
                if message["kind"] == kind:
                    return message


async def frames(track, wanted):
    """Frames of the track until there is what is wanted of them."""
    while True:
        if wanted(await track.recv()):
            return


async def run(base, codec):
    room = f"interop-{codec}"
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{base}/v1/ws") as socket:
        await socket.send_json({"type": "hello", "protocol": 1, "token": token(room, "host", "host")})
        host = Host(socket)

        publisher = Resource(http, base, "whip", room, "camera")
        publisher.add(Counting(), "video", codec)
        publisher.add(Tone(), "audio", "opus")
        await publisher.open()
        published = {(await host.until("published"))["publication"]["kind"] for _ in range(2)}
        assert published == {"audio", "video"}, published

        viewer = Resource(http, base, "whep", room, "viewer")
        picture, sound = viewer.add(None, "video", codec), viewer.add(None, "audio", "opus")
        await viewer.open()
        await viewer.trickle()

        numbers = []

        def counts(frame):
            assert (frame.width, frame.height) == (WIDTH, HEIGHT), (frame.width, frame.height)
            numbers.append(number_in(frame))
            return len(set(numbers)) >= 20

        def sounds(frame):
            samples = bytes(frame.planes[0])
            loudest = max(abs(int.from_bytes(samples[i : i + 2], "little", signed=True)) for i in range(0, len(samples), 2))
            return loudest > 2000

        await asyncio.gather(frames(picture.track, counts), frames(sound.track, sounds))
        steps = [(after - before) % (1 << BITS) for before, after in zip(numbers, numbers[1:])]
        assert all(step < 1 << BITS - 1 for step in steps), f"the picture goes back: {numbers}"

        await viewer.close()
        assert (await host.until("left"))["reason"] == "left"
        await publisher.close()
        for _ in range(2):
            await host.until("unpublished")
        assert (await host.until("left"))["reason"] == "left"
        print(f"{codec}: {len(numbers)} frames of {WIDTH}x{HEIGHT} decoded, {len(set(numbers))} numbers, log {host.events}")


async def main():
    async with server() as base:
        for codec in ("vp8", "h264"):
            await asyncio.wait_for(run(base, codec), 45)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
