//! The room as it stands.

use std::collections::VecDeque;

use super::Room;
use crate::protocol::{ChatLine, ParticipantState, Snapshot};

/// The last chat lines, bounded in number and in bytes of text.
#[derive(Debug)]
pub(super) struct ChatTail {
    lines: VecDeque<ChatLine>,
    bytes: usize,
    max_lines: usize,
    max_bytes: usize,
}

impl ChatTail {
    pub(super) fn new(max_lines: usize, max_bytes: usize) -> Self {
        Self { lines: VecDeque::new(), bytes: 0, max_lines, max_bytes }
    }

    /// Adds a line; the oldest ones make room.
    pub(super) fn push(&mut self, line: ChatLine) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.lines.len() > self.max_lines || (self.bytes > self.max_bytes && self.lines.len() > 1) {
            if let Some(oldest) = self.lines.pop_front() {
                self.bytes -= oldest.text.len();
            }
        }
    }
}

impl Room {
    /// The room after its last event.
    pub fn snapshot(&self) -> Snapshot {
        let participants = self
            .members
            .values()
            .map(|member| ParticipantState {
                participant: member.info.clone(),
                present: member.session.is_some(),
            })
            .collect();
        Snapshot {
            participants,
            publications: self.publications.clone(),
            steps: self.steps.state(),
            hands: self.hands.clone(),
            chat: self.chat.lines.iter().cloned().collect(),
            recording: self.recording.info(),
            ended: self.ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chat_tail_is_bounded_in_lines_and_bytes() {
        let line = |seq, text: &str| ChatLine { seq, at: 0, by: None, text: text.to_owned() };
        let mut tail = ChatTail::new(3, 10);
        for seq in 1..=5 {
            tail.push(line(seq, "ab"));
        }
        let seqs = |tail: &ChatTail| tail.lines.iter().map(|line| line.seq).collect::<Vec<_>>();
        assert_eq!(seqs(&tail), [3, 4, 5]);
        tail.push(line(6, "12345678"));
        assert_eq!(seqs(&tail), [5, 6]);
        tail.push(line(7, "longer than everything"));
        assert_eq!(seqs(&tail), [7]);
    }
}
