//! `Format`: what kind of file some bytes are, told from the bytes alone.

/// A picture format, as the first bytes of a file tell it: a `.HEIC` that is a JPEG is a JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the formats' own names")]
pub enum Format {
    Jpeg,
    Png,
    WebP,
    Gif,
    Bmp,
    Tiff,
    Heif,
    Avif,
    JpegXl,
    Jpeg2000,
    Psd,
    Raw,
    Svg,
    Pdf,
    Video,
}

impl Format {
    /// Tells the format from the first bytes (64 are enough), or `None` if it is not a picture format known here.
    pub fn sniff(bytes: &[u8]) -> Option<Self> {
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        let at = |offset: usize, magic: &[u8]| bytes.get(offset..offset + magic.len()) == Some(magic);
        Some(match bytes {
            _ if starts(b"\xFF\xD8\xFF") => Self::Jpeg,
            _ if starts(b"\x89PNG\r\n\x1A\n") => Self::Png,
            _ if starts(b"RIFF") && at(8, b"WEBP") => Self::WebP,
            _ if starts(b"GIF87a") || starts(b"GIF89a") => Self::Gif,
            _ if starts(b"II*\0") && at(8, b"CR") => Self::Raw,
            _ if starts(b"II*\0") || starts(b"MM\0*") => Self::Tiff,
            _ if starts(b"FUJIFILMCCD-RAW") || starts(b"IIRO") || starts(b"IIU\0") => Self::Raw,
            _ if starts(b"\xFF\x0A") || starts(b"\0\0\0\x0CJXL ") => Self::JpegXl,
            _ if starts(b"\0\0\0\x0CjP  ") || starts(b"\xFF\x4F\xFF\x51") => Self::Jpeg2000,
            _ if starts(b"8BPS") => Self::Psd,
            _ if starts(b"%PDF-") => Self::Pdf,
            _ if starts(b"<svg") || (starts(b"<?xml") && bytes.windows(4).take(512).any(|w| w == b"<svg")) => Self::Svg,
            _ if at(4, b"ftyp") => match bytes.get(8..12) {
                Some(b"avif" | b"avis") => Self::Avif,
                Some(b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis") => Self::Heif,
                // Only "some HEIF": the brands that it is compatible with say which.
                Some(b"mif1" | b"mif2" | b"msf1") if bytes[12..].chunks(4).take(12).any(|brand| brand == b"avif") => Self::Avif,
                Some(b"mif1" | b"mif2" | b"msf1") => Self::Heif,
                Some(b"crx ") => Self::Raw,
                _ => Self::Video,
            },
            _ if starts(b"\x1A\x45\xDF\xA3") || (starts(b"RIFF") && at(8, b"AVI ")) => Self::Video,
            // Last, because two letters are easily met by chance: the size of the BMP header must fit as well.
            _ if starts(b"BM") && matches!(bytes.get(14), Some(12 | 40 | 52 | 56 | 64 | 108 | 124)) => Self::Bmp,
            _ => return None,
        })
    }

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Heif => "HEIC/HEIF",
            Self::Avif => "AVIF",
            Self::JpegXl => "JPEG XL",
            Self::Jpeg2000 => "JPEG 2000",
            Self::Psd => "Photoshop",
            Self::Raw => "camera raw",
            Self::Svg => "SVG",
            Self::Pdf => "PDF",
            Self::Video => "video",
        }
    }

    /// The decoder of the `image` crate for it, if it is one of those read here.
    pub(crate) fn decoder(self) -> Option<image::ImageFormat> {
        Some(match self {
            Self::Jpeg => image::ImageFormat::Jpeg,
            Self::Png => image::ImageFormat::Png,
            Self::WebP => image::ImageFormat::WebP,
            Self::Gif => image::ImageFormat::Gif,
            Self::Bmp => image::ImageFormat::Bmp,
            Self::Tiff => image::ImageFormat::Tiff,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_content() {
        for (bytes, format) in [
            (&b"\xFF\xD8\xFF\xE1...."[..], Some(Format::Jpeg)),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some(Format::WebP)),
            (b"\0\0\0\x18ftypheic\0\0\0\0", Some(Format::Heif)),
            (b"\0\0\0\x1Cftypmif1\0\0\0\0mif1heic", Some(Format::Heif)),
            (b"\0\0\0\x1Cftypmif1\0\0\0\0mif1avif", Some(Format::Avif)),
            (b"\0\0\0\x18ftypisom\0\0\0\0", Some(Format::Video)),
            (b"<?xml version=\"1.0\"?><svg ", Some(Format::Svg)),
            (b"BM dear diary, today the cat", None),
            (b"", None),
            (b"just some text", None),
        ] {
            assert_eq!(Format::sniff(bytes), format, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
