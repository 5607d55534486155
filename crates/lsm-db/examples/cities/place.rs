//! A place, the line it is stored as, and the three keys it is found by.
//!
//! | key | value | finds |
//! | --- | --- | --- |
//! | `p` id | the place, as its line in the file | one place |
//! | `n` country 0 region 0 name 0 id | nothing | a country or a region, in order |
//! | `g` row column id | nothing | the places of a grid cell |
//!
//! Integers in keys are big-endian, so that keys sort as the numbers do. The text parts end in a
//! zero byte, which sorts before every other, so that `Bern` comes before `Bernex`. The id at the
//! end keeps keys unique: names repeat.

use lsm_db::Batch;

use crate::Outcome;

const EARTH_RADIUS_KM: f64 = 6371.0;

/// Grid cells a degree, in both directions: a cell is at most 11 km wide.
pub(crate) const CELLS_PER_DEGREE: f64 = 10.0;
/// Columns of the grid, once around the Earth.
pub(crate) const COLUMNS: u16 = 3600;

/// One line of the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    /// Its line number, from zero: what the keys tell namesakes apart by.
    pub(crate) id: u32,
    pub(crate) country: String,
    pub(crate) region: String,
    pub(crate) name: String,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
}

impl Place {
    /// Reads what [`to_line`](Self::to_line) writes, and the file's own lines.
    pub(crate) fn parse(id: u32, line: &str) -> Outcome<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[country, region, name, latitude, longitude] = fields.as_slice() else {
            return Err(format!("place {id}: {} columns, not 5", fields.len()).into());
        };
        if line.contains('\0') {
            return Err(
                format!("place {id}: a zero byte would break the order of the keys").into(),
            );
        }
        Ok(Self {
            id,
            country: country.to_owned(),
            region: region.to_owned(),
            name: name.to_owned(),
            latitude: latitude.parse()?,
            longitude: longitude.parse()?,
        })
    }

    /// The place as a line of five tab-separated columns.
    pub(crate) fn to_line(&self) -> String {
        let Self {
            country,
            region,
            name,
            latitude,
            longitude,
            ..
        } = self;
        format!("{country}\t{region}\t{name}\t{latitude}\t{longitude}")
    }

    /// The three entries of the place: itself, and one in each index.
    pub(crate) fn entries(&self) -> [(Vec<u8>, Vec<u8>); 3] {
        [
            (place_key(self.id), self.to_line().into_bytes()),
            (self.name_key(), Vec::new()),
            (self.cell_key(), Vec::new()),
        ]
    }

    /// Adds the place and its index entries: in one batch, so that no reader ever sees one
    /// without the others.
    pub(crate) fn put_into(&self, batch: &mut Batch) {
        for (key, value) in self.entries() {
            batch.put(key, value);
        }
    }

    /// Removes the place and its index entries.
    pub(crate) fn delete_from(&self, batch: &mut Batch) {
        for (key, _) in self.entries() {
            batch.delete(key);
        }
    }

    /// The distance over the ground to a coordinate (haversine).
    pub(crate) fn km_to(&self, latitude: f64, longitude: f64) -> f64 {
        let (from, to) = (self.latitude.to_radians(), latitude.to_radians());
        let half_north = (to - from) / 2.0;
        let half_east = (longitude - self.longitude).to_radians() / 2.0;
        let chord = half_north.sin().powi(2) + from.cos() * to.cos() * half_east.sin().powi(2);
        2.0 * EARTH_RADIUS_KM * chord.sqrt().min(1.0).asin()
    }

    fn name_key(&self) -> Vec<u8> {
        let mut key = region_prefix(&self.country, &self.region);
        key.extend_from_slice(self.name.as_bytes());
        key.push(0);
        key.extend_from_slice(&self.id.to_be_bytes());
        key
    }

    fn cell_key(&self) -> Vec<u8> {
        let mut key = cell_prefix(row_of(self.latitude), column_of(self.longitude) % COLUMNS);
        key.extend_from_slice(&self.id.to_be_bytes());
        key
    }
}

/// The key of the place itself.
pub(crate) fn place_key(id: u32) -> Vec<u8> {
    [b"p".as_slice(), &id.to_be_bytes()].concat()
}

/// What the name keys of a country's places start with.
pub(crate) fn country_prefix(country: &str) -> Vec<u8> {
    [b"n", country.as_bytes(), b"\0"].concat()
}

/// What the name keys of a region's places start with.
pub(crate) fn region_prefix(country: &str, region: &str) -> Vec<u8> {
    [country_prefix(country).as_slice(), region.as_bytes(), b"\0"].concat()
}

/// What the cell keys of a cell's places start with.
pub(crate) fn cell_prefix(row: u16, column: u16) -> Vec<u8> {
    [b"g".as_slice(), &row.to_be_bytes(), &column.to_be_bytes()].concat()
}

/// The grid row of a latitude; row 0 starts at the South Pole. Clamped to the poles.
pub(crate) fn row_of(latitude: f64) -> u16 {
    cell_of(latitude.clamp(-90.0, 90.0) + 90.0)
}

/// The grid column of a longitude; column 0 starts at 180° W. Clamped to the antimeridian.
pub(crate) fn column_of(longitude: f64) -> u16 {
    cell_of(longitude.clamp(-180.0, 180.0) + 180.0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the degrees are between 0 and 360, so the cell is between 0 and 3600"
)]
fn cell_of(degrees: f64) -> u16 {
    (degrees * CELLS_PER_DEGREE).floor() as u16
}

/// The id that the last four bytes of an index key hold.
pub(crate) fn id_in_key(key: &[u8]) -> Outcome<u32> {
    match key.last_chunk::<4>() {
        Some(&id) => Ok(u32::from_be_bytes(id)),
        None => Err(format!("the key {key:?} is too short to hold an id").into()),
    }
}
