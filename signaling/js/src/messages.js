/**
 * The shapes of the protocol's messages (`docs/protocol.md`), as types only.
 *
 * @typedef {'camera' | 'microphone' | 'screen' | 'screen_audio'} Source
 *
 * @typedef {{publish: boolean, subscribe: boolean, send: boolean, record: boolean, administer: boolean}} Rights
 *
 * @typedef {object} Welcome
 * @property {'welcome'} type
 * @property {{id: string, secret: string, resumed: boolean, grace_ms: number}} session
 * @property {{id: string, name: string, role: string, may: Rights}} you
 * @property {{id: string, clock: number, started_at: number}} room
 * @property {{message_bytes: number, offer_bytes: number, chat_chars: number}} limits
 * @property {number} seq
 * @property {Snapshot} [snapshot]
 *
 * @typedef {object} ParticipantInfo
 * @property {string} id
 * @property {string} name
 * @property {string} role `host` or `participant`
 * @property {boolean} [present]
 *
 * @typedef {object} PublicationInfo
 * @property {string} id
 * @property {string} participant
 * @property {'audio' | 'video'} kind
 * @property {Source} source
 * @property {boolean} simulcast
 * @property {string} [mid] its m-line in its owner's offers
 * @property {boolean} [muted]
 *
 * @typedef {{seq: number, at: number, by: string | null, text: string}} ChatLine
 *
 * @typedef {object} RecordingInfo
 * @property {'started' | 'stopped' | 'failed' | 'available'} state
 * @property {string} session
 * @property {string} [reason]
 *
 * @typedef {object} Snapshot
 * @property {ParticipantInfo[]} participants
 * @property {PublicationInfo[]} publications
 * @property {{steps: {title: string}[], current: number | null, done: Record<string, boolean[]>}} steps
 * @property {string[]} hands
 * @property {ChatLine[]} chat
 * @property {RecordingInfo | null} recording
 * @property {boolean} ended
 *
 * @typedef {{type: 'event', seq: number, at: number, by: string | null, kind: string} & Record<string, any>} RoomEvent
 *
 * @typedef {{kind: string} & Record<string, unknown>} Action
 *
 * @typedef {'speaker' | 'screen'} Role what a picture is in the room, for a while
 *
 * @typedef {{mid: string, publication: string | null, role?: Role, rank?: number, paused?: boolean,
 *   failed?: {publication: string, reason: string}}} SlotFill
 *
 * @typedef {{publication: string, level: number}} Speaker a sound that is speech; `level` in decibels below the loudest
 *
 * @typedef {{publication?: string, role?: Role, max_height: number, max_fps?: number, priority?: number}} VideoWish
 *
 * @typedef {{video: VideoWish[], audio: 'all' | string[]}} View
 */

/** The protocol's version this client speaks. */
export const PROTOCOL = 1;
