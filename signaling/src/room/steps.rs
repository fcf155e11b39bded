//! What the class works on, and who has done what.

use std::collections::BTreeMap;

use crate::protocol::{Step, StepsState};

/// The steps of a room and everybody's progress.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StepBoard {
    steps: Vec<Step>,
    current: Option<u32>,
    done: BTreeMap<String, Vec<bool>>,
}

/// There is no such step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there is no such step")]
pub struct NoSuchStep;

impl StepBoard {
    /// Replaces the steps; all progress starts over.
    pub fn set(&mut self, steps: Vec<Step>) {
        *self = Self { steps, current: None, done: BTreeMap::new() };
    }

    /// Starts a step. Whether that changed anything.
    pub fn start(&mut self, step: u32) -> Result<bool, NoSuchStep> {
        self.index(step)?;
        Ok(self.current.replace(step) != Some(step))
    }

    /// Ticks a step, or takes the tick back. Whether that changed anything.
    pub fn tick(&mut self, participant: &str, step: u32, done: bool) -> Result<bool, NoSuchStep> {
        let index = self.index(step)?;
        let known = self.done.get(participant).and_then(|flags| flags.get(index)).copied().unwrap_or(false);
        if known == done {
            return Ok(false);
        }
        let flags = self.done.entry(participant.to_owned()).or_insert_with(|| vec![false; self.steps.len()]);
        if let Some(flag) = flags.get_mut(index) {
            *flag = done;
        }
        Ok(true)
    }

    /// Forgets a participant's progress.
    pub fn forget(&mut self, participant: &str) {
        self.done.remove(participant);
    }

    /// As a snapshot shows it.
    pub fn state(&self) -> StepsState {
        StepsState { steps: self.steps.clone(), current: self.current, done: self.done.clone() }
    }

    fn index(&self, step: u32) -> Result<usize, NoSuchStep> {
        usize::try_from(step).ok().filter(|&index| index < self.steps.len()).ok_or(NoSuchStep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> StepBoard {
        let mut board = StepBoard::default();
        board.set(["Chop", "Fry"].map(|title| Step { title: title.to_owned() }).into());
        board
    }

    #[test]
    fn what_changes_nothing_says_so() {
        let mut board = board();
        assert_eq!(board.start(1), Ok(true));
        assert_eq!(board.start(1), Ok(false));
        assert_eq!(board.tick("p1", 0, false), Ok(false));
        assert_eq!(board.tick("p1", 0, true), Ok(true));
        assert_eq!(board.tick("p1", 0, true), Ok(false));
        assert_eq!(board.state().done["p1"], [true, false]);
    }

    #[test]
    fn only_steps_that_are_there_can_be_worked_on() {
        let mut board = board();
        assert_eq!(board.start(2), Err(NoSuchStep));
        assert_eq!(board.tick("p1", u32::MAX, true), Err(NoSuchStep));
        assert_eq!(StepBoard::default().start(0), Err(NoSuchStep));
    }

    #[test]
    fn new_steps_start_all_progress_over() {
        let mut board = board();
        board.start(1).and_then(|_| board.tick("p1", 0, true)).expect("steps");
        board.set(vec![Step { title: "Serve".to_owned() }]);
        assert_eq!(board.state().current, None);
        assert!(board.state().done.is_empty());
    }
}
