//! The syntax of RFC 8866, and no more: which lines there are, and to which m-line they belong.
//!
//! One pass over the text, each byte looked at a bounded number of times; what is kept borrows from the text.

use super::OfferError;

/// Longest line, bytes without the line break.
pub(super) const LINE_BYTES: usize = 8192;

/// A session description cut into its sections.
#[derive(Debug)]
pub(super) struct Description<'a> {
    /// The `a=` lines before the first m-line.
    pub(super) attributes: Attributes<'a>,
    /// The m-lines, in order.
    pub(super) sections: Vec<Section<'a>>,
}

/// An m-line with what follows it.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// `audio`, `video`, `application` or whatever else.
    pub(super) media: &'a str,
    /// 0 when the m-line is stopped, or bundle-only.
    pub(super) port: u16,
    /// Such as `UDP/TLS/RTP/SAVPF`.
    pub(super) protocol: &'a str,
    /// The formats, blank-separated; at least one.
    pub(super) formats: &'a str,
    /// Its `a=` lines.
    pub(super) attributes: Attributes<'a>,
}

/// The `a=` lines of a section, in order.
#[derive(Default, Debug)]
pub(super) struct Attributes<'a>(Vec<Attribute<'a>>);

/// One `a=name:value` line; the value is empty for a property such as `a=rtcp-mux`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute<'a> {
    /// What comes before the colon.
    pub(super) name: &'a str,
    /// What comes after it.
    pub(super) value: &'a str,
}

impl<'a> Description<'a> {
    /// Cuts `text`; at most `media_lines` m-lines.
    pub(super) fn parse(text: &'a str, media_lines: usize) -> Result<Self, OfferError> {
        let mut description = Self { attributes: Attributes::default(), sections: Vec::new() };
        let mut head = Head::Version;
        for line in text.trim_end_matches(['\r', '\n']).split('\n') {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let (letter, value) = split_line(line)?;
            head = head.after(letter, value)?;
            description.take(letter, value, media_lines)?;
        }
        match head {
            Head::Version | Head::Origin | Head::Name => Err(malformed("it ends before the s= line")),
            Head::Rest { timed: false } => Err(malformed("there is no t= line before the first m= line")),
            Head::Rest { timed: true } => Ok(description),
        }
    }

    /// Cuts a fragment, which has attributes and m-lines but no head (RFC 8840 section 9).
    pub(super) fn fragment(text: &'a str, media_lines: usize) -> Result<Self, OfferError> {
        let mut description = Self { attributes: Attributes::default(), sections: Vec::new() };
        for line in text.trim_end_matches(['\r', '\n']).split('\n') {
            let (letter, value) = split_line(line.strip_suffix('\r').unwrap_or(line))?;
            description.take(letter, value, media_lines)?;
        }
        Ok(description)
    }

    fn take(&mut self, letter: u8, value: &'a str, media_lines: usize) -> Result<(), OfferError> {
        match letter {
            b'm' if self.sections.len() >= media_lines => {
                return Err(OfferError::TooManyLines { limit: media_lines });
            }
            b'm' => self.sections.push(Section::parse(value)?),
            b'a' => {
                let attributes = match self.sections.last_mut() {
                    Some(section) => &mut section.attributes,
                    None => &mut self.attributes,
                };
                attributes.0.push(Attribute::parse(value)?);
            }
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Section<'a> {
    fn parse(value: &'a str) -> Result<Self, OfferError> {
        let parts = || {
            let (media, rest) = value.split_once(' ')?;
            let (port, rest) = rest.split_once(' ')?;
            let (protocol, formats) = rest.split_once(' ')?;
            // `9/2` asks for two ports in a row, which means nothing with ICE.
            let port = port.split('/').next()?;
            Some((media, port, protocol, formats))
        };
        let (media, port, protocol, formats) =
            parts().ok_or(malformed("an m= line has fewer than four fields"))?;
        if !is_token(media) || !protocol.split('/').all(is_token) {
            return Err(malformed("an m= line names no valid media or protocol"));
        }
        if formats.is_empty() || !formats.split(' ').all(is_token) {
            return Err(malformed("an m= line lists no valid formats"));
        }
        let port = parse_number(port).ok_or(malformed("an m= line has no valid port"))?;
        Ok(Self { media, port, protocol, formats, attributes: Attributes::default() })
    }
}

impl<'a> Attributes<'a> {
    pub(super) fn iter(&self) -> impl Iterator<Item = Attribute<'a>> {
        self.0.iter().copied().inspect(|_| {
            #[cfg(test)]
            tests::VISITS.set(tests::VISITS.get() + 1);
        })
    }

    /// Whether there is a line of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// The values of the lines of this name.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |attribute| attribute.name == name).map(|attribute| attribute.value)
    }
}

impl<'a> Attribute<'a> {
    fn parse(line: &'a str) -> Result<Self, OfferError> {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if !is_token(name) {
            return Err(malformed("an a= line has no valid name"));
        }
        Ok(Self { name, value: value.trim_matches(' ') })
    }
}

/// How far the obligatory lines at the top have come (RFC 8866 section 5).
#[derive(Clone, Copy)]
enum Head {
    Version,
    Origin,
    Name,
    Rest { timed: bool },
}

impl Head {
    fn after(self, letter: u8, value: &str) -> Result<Self, OfferError> {
        match (self, letter) {
            (Self::Version, b'v') if value == "0" => Ok(Self::Origin),
            (Self::Version, _) => Err(malformed("the first line is not v=0")),
            (Self::Origin, b'o') => Ok(Self::Name),
            (Self::Origin, _) => Err(malformed("the second line is not the o= line")),
            (Self::Name, b's') => Ok(Self::Rest { timed: false }),
            (Self::Name, _) => Err(malformed("the third line is not the s= line")),
            (Self::Rest { .. }, b't') => Ok(Self::Rest { timed: true }),
            (Self::Rest { timed: false }, b'm') => {
                Err(malformed("there is no t= line before the first m= line"))
            }
            (
                Self::Rest { .. },
                b'i' | b'u' | b'e' | b'p' | b'c' | b'b' | b'r' | b'z' | b'k' | b'a' | b'm',
            ) => Ok(self),
            (Self::Rest { .. }, _) => Err(malformed("a line's type is unknown or out of place")),
        }
    }
}

fn split_line(line: &str) -> Result<(u8, &str), OfferError> {
    if line.len() > LINE_BYTES {
        return Err(malformed("a line is longer than 8192 bytes"));
    }
    if line.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return Err(malformed("a line has a control character"));
    }
    let (letter, value) = line.split_once('=').ok_or(malformed("a line has no equals sign"))?;
    match letter.as_bytes() {
        [letter] => Ok((*letter, value)),
        _ => Err(malformed("a line's type is not one letter")),
    }
}

/// `token` of RFC 8866 section 9.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| {
            matches!(byte, 0x21 | 0x23..=0x27 | 0x2a..=0x2b | 0x2d..=0x2e | 0x30..=0x39 | 0x41..=0x5a | 0x5e..=0x7e)
        })
}

/// A decimal number of digits alone: `u16::from_str` would take a sign as well.
pub(super) fn parse_number<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The error of a description that breaks a rule.
pub(super) fn malformed(reason: &'static str) -> OfferError {
    OfferError::Malformed { reason }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// Attributes that this thread has looked at.
        pub(in crate::sdp) static VISITS: Cell<usize> = const { Cell::new(0) };
    }

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";

    fn reason(text: &str) -> &'static str {
        match Description::parse(text, 4) {
            Err(OfferError::Malformed { reason }) => reason,
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[test]
    fn attributes_belong_to_the_m_line_before_them() {
        let text =
            format!("{HEAD}a=ice-lite\r\nm=audio 9/2 A/B 1 2\r\na=mid:0\r\nm=video 0 A 3\na=x: y:z \n\r\n");
        let description = Description::parse(&text, 4).unwrap();
        assert!(description.attributes.has("ice-lite"));
        let [audio, video] = description.sections.as_slice() else { panic!("{description:?}") };
        assert_eq!((audio.media, audio.port, audio.protocol, audio.formats), ("audio", 9, "A/B", "1 2"));
        assert_eq!(audio.attributes.values("mid").collect::<Vec<_>>(), ["0"]);
        assert_eq!((video.media, video.port), ("video", 0));
        assert_eq!(video.attributes.values("x").collect::<Vec<_>>(), ["y:z"]);
    }

    #[test]
    fn what_is_no_description_is_refused_with_its_reason() {
        assert_eq!(reason(""), "a line has no equals sign");
        assert_eq!(reason("hello"), "a line has no equals sign");
        assert_eq!(reason("v=1\r\n"), "the first line is not v=0");
        assert_eq!(reason("v=0\r\ns=-\r\n"), "the second line is not the o= line");
        assert_eq!(reason("v=0\r\no=-\r\nt=0 0\r\n"), "the third line is not the s= line");
        assert_eq!(reason("v=0\r\no=-\r\n"), "it ends before the s= line");
        assert_eq!(reason("v=0\r\no=-\r\ns=-\r\n"), "there is no t= line before the first m= line");
        assert_eq!(reason("v=0\no=-\ns=-\nm=audio 9 A 1\n"), "there is no t= line before the first m= line");
        for (line, expected) in [
            ("v=0", "a line's type is unknown or out of place"),
            ("q=0", "a line's type is unknown or out of place"),
            ("ab=0", "a line's type is not one letter"),
            ("é=0", "a line's type is not one letter"),
            ("=0", "a line's type is not one letter"),
            ("a=x\0y", "a line has a control character"),
            ("a=x\ry", "a line has a control character"),
            ("a=", "an a= line has no valid name"),
            ("a=x y:z", "an a= line has no valid name"),
            ("m=audio 9 A", "an m= line has fewer than four fields"),
            ("m=audio 9 A ", "an m= line lists no valid formats"),
            ("m=audio 9 A 1  2", "an m= line lists no valid formats"),
            ("m=audio 9 A/ 1", "an m= line names no valid media or protocol"),
            ("m=au(dio 9 A 1", "an m= line names no valid media or protocol"),
            ("m=audio 65536 A 1", "an m= line has no valid port"),
            ("m=audio +9 A 1", "an m= line has no valid port"),
            ("m=audio  A 1 2", "an m= line has no valid port"),
        ] {
            assert_eq!(reason(&format!("{HEAD}{line}\r\n")), expected, "{line:?}");
        }
        assert_eq!(reason(&format!("{HEAD}\r\na=x\r\n")), "a line has no equals sign");
    }

    #[test]
    fn limits_hold_to_the_byte_and_the_line() {
        let line = |len: usize| format!("{HEAD}a={}\r\n", "x".repeat(len - 2));
        assert!(Description::parse(&line(LINE_BYTES - 1), 4).is_ok());
        assert!(Description::parse(&line(LINE_BYTES), 4).is_ok());
        assert_eq!(reason(&line(LINE_BYTES + 1)), "a line is longer than 8192 bytes");
        let lines = |count: usize| format!("{HEAD}{}", "m=audio 9 A 1\r\n".repeat(count));
        assert!(Description::parse(&lines(3), 4).is_ok());
        assert!(Description::parse(&lines(4), 4).is_ok());
        assert_eq!(Description::parse(&lines(5), 4).unwrap_err(), OfferError::TooManyLines { limit: 4 });
    }
}
