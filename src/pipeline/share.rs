//! `Share`: how many rejections are too many.

use std::fmt;

use serde_json::Value;

/// A number of items, or a share of those that a stage reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// So many.
    Items(usize),
    /// So many of a hundred.
    Percent(f64),
}

impl Share {
    /// Reads `20` or `"5%"`.
    ///
    /// # Errors
    /// A sentence that shows both forms.
    pub fn parse(value: &Value) -> Result<Self, String> {
        let wrong = || format!("expected a number of pictures, or a share of them such as \"5%\", found {value}");
        if let Some(items) = value.as_u64() {
            return Ok(Self::Items(items as usize));
        }
        let percent = value.as_str().and_then(|text| text.trim().strip_suffix('%')).ok_or_else(wrong)?;
        let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
        if (0.0..=100.0).contains(&percent) { Ok(Self::Percent(percent)) } else { Err(wrong()) }
    }

    /// Whether `count` of `total` items is more than this.
    pub fn is_exceeded_by(&self, count: usize, total: usize) -> bool {
        match *self {
            Self::Items(most) => count > most,
            Self::Percent(percent) => count as f64 * 100.0 > percent * total as f64,
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Items(items) => write!(f, "{items}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_anything_else_is_refused() {
        for (text, exceeded_by_6_of_100) in
            [("5", true), ("6", false), (r#""5%""#, true), (r#"" 6 %""#, false), (r#""5.99%""#, true), ("0", true)]
        {
            let share = Share::parse(&serde_json::from_str(text).unwrap()).unwrap();
            assert_eq!(share.is_exceeded_by(6, 100), exceeded_by_6_of_100, "{text}");
        }
        assert!(!Share::Percent(0.0).is_exceeded_by(0, 0));
        for text in ["-1", "0.5", r#""5""#, r#""x%""#, r#""101%""#, r#""NaN%""#, "true"] {
            assert!(Share::parse(&serde_json::from_str(text).unwrap()).is_err(), "{text}");
        }
    }
}
