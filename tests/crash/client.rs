//! One writer with registers of its own, most of them alive and some deleted; knows no kind of register.

use std::convert::Infallible;

use crate::random::Rng;
use crate::registers::{self, Kind, Register};
use crate::session::{Gone, Session};

pub(crate) struct Client {
    name: String,
    rng: Rng,
    /// Of which its registers are.
    kinds: &'static [Kind],
    registers: Vec<Box<dyn Register>>,
}

impl Client {
    pub(crate) fn new(name: String, rng: Rng, kinds: &'static [Kind]) -> Self {
        Self { name, rng, kinds, registers: Vec::new() }
    }

    /// Gives it one more register.
    pub(crate) fn take(&mut self, register: Box<dyn Register>) {
        self.registers.push(register);
    }

    /// Reads everything back that it ever wrote to this store.
    pub(crate) fn check(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        self.registers.iter_mut().try_for_each(|register| register.check(session))
    }

    /// Waits for all that goes on by itself.
    pub(crate) fn finish(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        self.registers.iter_mut().try_for_each(|register| register.finish(session))
    }

    /// Works until the server is gone.
    pub(crate) fn work(&mut self, session: &mut Session<'_>) -> Result<Infallible, Gone> {
        loop {
            let index = self.choose();
            self.registers[index].act(session, &mut self.rng)?;
        }
    }

    /// Mostly a register that is alive, now and then one that was deleted.
    fn choose(&mut self) -> usize {
        let alive: Vec<usize> = (0..self.registers.len()).filter(|index| !self.registers[*index].is_over()).collect();
        if alive.len() < ALIVE {
            let name = format!("{}-{}", self.name, self.registers.len());
            self.registers.push(registers::begin(self.kinds, &name, &mut self.rng));
            return self.registers.len() - 1;
        }
        if self.rng.chance(REVIVED_PERCENT) { self.rng.below(self.registers.len()) } else { *self.rng.pick(&alive) }
    }
}

/// Registers of a client that are not deleted.
const ALIVE: usize = 6;
const REVIVED_PERCENT: u64 = 5;
