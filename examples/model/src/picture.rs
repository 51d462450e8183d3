//! Makes of a picture's bytes what the network takes; it must not know who sent them, nor what the network finds.

use std::io::Cursor;

use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{
    DynamicImage, GenericImageView as _, ImageDecoder as _, ImageFormat, ImageReader, Limits, RgbImage,
};

/// 25 million pixels: more than most cameras make, and 75 MB while they are looked at. A file of some kilobytes may
/// claim any size, so this is checked before the first pixel is unpacked.
pub(crate) const MAX_PIXELS: u64 = 25_000_000;
/// The longer side may be 20 times the shorter one: of a thinner picture nobody sees much in its middle square, and it
/// would grow when it is scaled.
const MAX_STRETCH: u32 = 20;
/// 512 MiB while a picture is unpacked: the pixels above with 16 bits in each of four channels, and what the decoders
/// need beside them.
const MAX_DECODER_BYTES: u64 = 512 * 1024 * 1024;

/// Pixels on each side of the network's input.
pub(crate) const SIDE: usize = 224;
/// Pixels on the shorter side before the middle is cut out.
const SHORT_SIDE: u32 = 256;

/// Mean and standard deviation of red, green and blue over ImageNet: the network was trained on pictures that were
/// normalised by them, as every network of torchvision is.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// Why a picture cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It is neither of the two formats.
    #[error("this is neither a JPEG nor a PNG: it begins with \"{}\"", begins.escape_ascii())]
    Format {
        /// Its first bytes.
        begins: Vec<u8>,
    },
    /// More pixels than [`MAX_PIXELS`].
    #[error("the picture has {width} x {height} pixels; {} million pixels are the most that is taken", MAX_PIXELS / 1_000_000)]
    TooLarge {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Thinner than [`MAX_STRETCH`] allows.
    #[error(
        "the picture has {width} x {height} pixels; one side may be {MAX_STRETCH} times the other at the most"
    )]
    TooThin {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The file is damaged, or uses what its decoder does not know.
    #[error("the picture cannot be read: {0}")]
    Broken(#[from] image::ImageError),
}

/// A picture as it was sent, unpacked and the right way up.
#[derive(Debug)]
pub(crate) struct Picture {
    pixels: RgbImage,
}

impl Picture {
    /// Unpacks a JPEG or a PNG; which of them it is, its first bytes say.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let format = image::guess_format(bytes).ok();
        let Some(format @ (ImageFormat::Jpeg | ImageFormat::Png)) = format else {
            return Err(Error::Format { begins: bytes.iter().take(12).copied().collect() });
        };
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(MAX_DECODER_BYTES);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits);
        let mut decoder = reader.into_decoder()?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > MAX_PIXELS {
            return Err(Error::TooLarge { width, height });
        }
        if width.max(height).div_ceil(MAX_STRETCH) > width.min(height) {
            return Err(Error::TooThin { width, height });
        }
        // Telephones do not turn a picture, they note how it was held. Nobody classifies cats that lie on their side.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        Ok(Self { pixels: image.into_rgb8() })
    }

    /// Pixels in a row, and rows.
    pub(crate) fn dimensions(&self) -> (u32, u32) {
        self.pixels.dimensions()
    }

    /// The middle of the picture as three planes, red, green and blue, of [`SIDE`] rows of [`SIDE`] numbers.
    ///
    /// It is what torchvision does: the shorter side is scaled to 256 pixels, the middle 224 x 224 are cut out, and the
    /// colours are normalised.
    pub(crate) fn normalised(&self) -> Vec<f32> {
        let (width, height) = self.dimensions();
        let (width, height) = if width <= height {
            (SHORT_SIDE, scaled(height, width))
        } else {
            (scaled(width, height), SHORT_SIDE)
        };
        let small = imageops::resize(&self.pixels, width, height, FilterType::Triangle);
        let side = SIDE as u32;
        let middle = small.view(margin(width), margin(height), side, side);
        let mut planes = vec![0.0; 3 * SIDE * SIDE];
        for (x, y, pixel) in middle.pixels() {
            let at = y as usize * SIDE + x as usize;
            for (channel, value) in pixel.0.into_iter().enumerate() {
                planes[channel * SIDE * SIDE + at] =
                    (f32::from(value) / 255.0 - MEAN[channel]) / DEVIATION[channel];
            }
        }
        planes
    }
}

/// The longer side when the shorter one becomes [`SHORT_SIDE`].
fn scaled(long: u32, short: u32) -> u32 {
    let scaled = u64::from(long) * u64::from(SHORT_SIDE) / u64::from(short.max(1));
    u32::try_from(scaled).unwrap_or(SHORT_SIDE)
}

/// Where the middle begins. Half a pixel goes to the even side, as Python rounds.
fn margin(length: u32) -> u32 {
    let spare = length.saturating_sub(SIDE as u32);
    let half = spare / 2;
    if spare % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}
