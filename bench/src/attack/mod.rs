//! Attacks on a server while an honest call runs that must not notice.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`generator`] | what every attack is made of, and the gun |
//! | [`checks`], [`hellos`], [`noise`] | datagrams from anybody: STUN, DTLS, anything |

pub mod checks;
pub mod generator;
pub mod hellos;
pub mod noise;
