"""The load tester drives a server whose ICE, DTLS, SRTP and session descriptions nobody here wrote: aiortc's.

The server forwards what one publishes over WHIP to all who watch over WHEP, packet by packet, under SSRCs of its own that it does not
announce, and without header extensions. Where a sender's stream is decoded in aiortc, it is handed on here. `simmer-bench` must come in,
verify everything and leave; then it must do so through emulated links, and not find the way around them.
"""

import asyncio
import itertools
import json
import os
import sys
import tempfile

import aioice.ice
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, RTCSessionDescription
from aiortc.rtp import RTCP_PSFB_PLI, RtcpPsfbPacket, RtpPacket

BENCH = os.environ["SIMMER_BENCH_BIN"]
SUBSCRIBERS = 4

# Nothing leaves this machine, and a machine without a network will do.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


class Stage:
    """One path: a publisher's streams and who watches them."""

    def __init__(self):
        self.watching = {"audio": [], "video": []}
        self.video = None

    async def forward(self, kind, packet):
        for sender in list(self.watching[kind]):
            copy = RtpPacket(packet.payload_type, packet.marker, packet.sequence_number, packet.timestamp, sender._ssrc)
            copy.payload = packet.payload
            # Somebody may have left since.
            try:
                await sender.transport._send_rtp(copy.serialize())
            except ConnectionError:
                pass

    async def ask_key_frame(self):
        if self.video:
            receiver, ssrc = self.video
            await receiver._send_rtcp_pli(ssrc)


class Server:
    """Sessions over HTTP."""

    def __init__(self):
        self.stages, self.sessions, self.tokens = {}, {}, set()
        self.numbers, self.opened = itertools.count(1), 0

    async def open(self, request):
        self.tokens.add(request.headers.get("Authorization"))
        stage = self.stages.setdefault(request.match_info["room"], Stage())
        publishes = request.match_info["protocol"] == "whip"
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        await connection.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
        for transceiver in connection.getTransceivers():
            if publishes:
                transceiver.receiver.stage = stage
            else:
                transceiver.direction = "sendonly"
                transceiver.sender.stage = stage
        await connection.setLocalDescription(await connection.createAnswer())

        @connection.on("connectionstatechange")
        def changed():
            if not publishes and connection.connectionState == "connected":
                for transceiver in connection.getTransceivers():
                    stage.watching[transceiver.kind].append(transceiver.sender)

        answer = connection.localDescription.sdp.splitlines(keepends=True)
        if not publishes:
            answer = [line for line in answer if not line.startswith("a=ssrc")]
        number, self.opened = str(next(self.numbers)), self.opened + 1
        self.sessions[number] = (connection, stage)
        headers = {"Location": f"../sessions/{number}"}
        return web.Response(status=201, text="".join(answer), content_type="application/sdp", headers=headers)

    async def close(self, request):
        connection, stage = self.sessions.pop(request.match_info["session"], (None, None))
        if connection is None:
            return web.Response(status=404, text="no such session")
        gone = {transceiver.sender for transceiver in connection.getTransceivers()}
        for senders in stage.watching.values():
            senders[:] = [sender for sender in senders if sender not in gone]
        await connection.close()
        return web.Response()


async def take_rtp(receiver, packet, arrival_time_ms):
    """In place of the receiver's decoding."""
    codecs = {codec.payloadType: codec for codec in receiver._RTCRtpReceiver__codecs.values()}
    if codecs[packet.payload_type].name.lower() == "rtx":
        return
    if receiver._track.kind == "video":
        receiver.stage.video = (receiver, packet.ssrc)
    await receiver.stage.forward(receiver._track.kind, packet)


async def take_rtcp(sender, packet):
    """In place of what a sender that encodes would do."""
    if isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_PLI:
        await sender.stage.ask_key_frame()


FAR = """
name = "far"
warmup_s = 0
duration_s = 3
link = { delay_ms = 15.0 }
[[group]]
name = "creator"
count = 1
video = { bitrate = 500_000 }
[[group]]
name = "fan"
count = 2
sees = "all"
"""


async def bench(port, *words):
    """The load tester's report."""
    of = "http://127.0.0.1:{}/{}/{{room}}".format
    addresses = ["--whip", of(port, "whip"), "--whep", of(port, "whep"), "--bearer", "key of {room}"]
    command = [BENCH, *words, "--room", "interop", *addresses, "--max-loss", "0", "--json"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    out, told = await process.communicate()
    assert process.returncode == 0, (process.returncode, out.decode(), told.decode())
    return json.loads(out)


async def main():
    RTCRtpReceiver._handle_rtp_packet, RTCRtpSender._handle_rtcp_packet = take_rtp, take_rtcp
    server = Server()
    app = web.Application()
    app.router.add_post("/{protocol:whip|whep}/{room}", server.open)
    app.router.add_delete("/sessions/{session}", server.close)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]

    words = ["fanout", "--subscribers", str(SUBSCRIBERS), "--audio", "--bitrate", "500k", "--warmup", "1", "--duration", "4"]
    report = await bench(port, *words)
    for kind, least in (("video", 60), ("audio", 45)):
        media = report[kind]
        assert media["received"] == media["expected"] > SUBSCRIBERS * 4 * least, media
        assert media["streams_whole"] == SUBSCRIBERS, media
    assert report["latency_us"]["count"] == report["video"]["received"], report["latency_us"]
    assert report["feedback"]["complaints"] == 0, (report["warnings"], report["feedback"])
    assert (server.opened, server.sessions) == (SUBSCRIBERS + 1, {}), (server.opened, server.sessions)
    assert server.tokens == {"Bearer key of interop"}, server.tokens
    print(f"bench: {report['video']['received']} packets of pictures and {report['audio']['received']} of sound came through aiortc, all of them verified")

    with tempfile.NamedTemporaryFile("w", suffix=".toml") as scenario:
        scenario.write(FAR)
        scenario.flush()
        report = await bench(port, "run", scenario.name)
    fastest = report["latency_us"]["min"] / 1000
    assert report["video"]["received"] > 2 * 3 * 60 and fastest >= 28, report
    assert server.sessions == {}, server.sessions
    print(f"bench: {report['video']['received']} packets came through links of 15 ms each way, none in less than {fastest:.1f} ms")
    await runner.cleanup()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
