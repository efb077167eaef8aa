//! A search's seed: a number, or a git hash.

use std::fmt;
use std::str::FromStr;

/// The digits of a git hash that make a seed: as many as fit below 2^63, whatever they are.
const DIGITS: usize = 15;

/// A seed, and what it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// Below 2^63, as plan files have it.
    pub number: u64,
    /// The git hash that it was read from.
    pub hash: Option<String>,
}

/// A text that is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a number below 2^63, or a git hash of up to 40 hexadecimal digits")]
pub struct NoSeed;

impl From<u64> for Seed {
    fn from(number: u64) -> Seed {
        Seed { number, hash: None }
    }
}

impl FromStr for Seed {
    type Err = NoSeed;

    fn from_str(text: &str) -> Result<Seed, NoSeed> {
        if let Ok(number) = text.parse::<i64>() {
            return u64::try_from(number).map(Seed::from).map_err(|_| NoSeed);
        }
        // A hash of digits alone is a whole one; fewer that are no number below 2^63 are a slip.
        if text.len() < 40 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NoSeed);
        }
        let hash = (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        let digits = text.get(..text.len().min(DIGITS)).filter(|_| hash).ok_or(NoSeed)?;
        let number = u64::from_str_radix(digits, 16).map_err(|_| NoSeed)?;
        Ok(Seed { number, hash: Some(text.to_owned()) })
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seed { number, hash } = self;
        match hash {
            None => write!(f, "{number}"),
            Some(hash) => write!(f, "{number} (the first {DIGITS} digits of the hash {hash})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_number_or_a_git_hash() {
        assert_eq!("42".parse(), Ok(Seed::from(42)));
        let hash = "d4fb09b35b1f2a7c90e8d6a4b2c0ffee12345678";
        let seed: Seed = hash.parse().unwrap();
        assert_eq!(seed.number, 0xd4f_b09b_35b1_f2a7);
        assert!(seed.to_string().ends_with(&format!("of the hash {hash})")), "{seed}");
        assert_eq!("d4fb09b".parse::<Seed>().unwrap().number, 0xd4f_b09b);
        let all_digits = "1234567890123456789012345678901234567890";
        assert_eq!(all_digits.parse::<Seed>().unwrap().number, 0x0123_4567_8901_2345);
        for none in
            ["", "-1", "main", "9223372036854775808", "9223372036854775808x", &"a".repeat(41)]
        {
            assert_eq!(none.parse::<Seed>(), Err(NoSeed), "{none}");
        }
    }
}
