//! The questions, and the two that answer them: the store, through its indexes, and the oracle,
//! by looking at every place in memory. They share no code but the distance formula.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lsm_db::{Bytes, Lsm};

use crate::Outcome;
use crate::place::{
    COLUMNS, Place, cell_prefix, column_of, country_prefix, id_in_key, place_key, region_prefix,
    row_of,
};

/// One kilometre of a meridian, in degrees.
const DEGREES_PER_KM: f64 = 1.0 / 111.19;

/// Something to ask about the places.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question {
    /// The place with this id, if there is one.
    Place { id: u32 },
    /// All places of a region, ordered by name.
    Region {
        country: &'static str,
        region: &'static str,
    },
    /// The last places of a country, from the last backwards: by region, then by name.
    LastOf { country: &'static str, count: usize },
    /// The places within a radius, the nearest first.
    Near {
        latitude: f64,
        longitude: f64,
        radius_km: f64,
    },
}

/// What is asked each time. The Fijian circle crosses the antimeridian, the Greenwich one the
/// meridian, and the Arctic one spans every column of the northernmost rows.
pub(crate) const QUESTIONS: [Question; 9] = [
    Question::Place { id: 0 },
    Question::Place { id: 171_074 },
    Question::Place { id: 171_075 },
    Question::Region {
        country: "CH",
        region: "Zurich",
    },
    Question::Region {
        country: "PT",
        region: "Lisbon",
    },
    Question::LastOf {
        country: "US",
        count: 10,
    },
    Question::Near {
        latitude: 51.48,
        longitude: 0.0,
        radius_km: 5.0,
    },
    Question::Near {
        latitude: -17.5,
        longitude: 179.9,
        radius_km: 250.0,
    },
    Question::Near {
        latitude: 89.0,
        longitude: 0.0,
        radius_km: 1500.0,
    },
];

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Place { id } => write!(f, "place {id}"),
            Self::Region { country, region } => write!(f, "{region}, {country}, in order"),
            Self::LastOf { country, count } => write!(f, "last {count} of {country}"),
            Self::Near {
                latitude,
                longitude,
                radius_km,
            } => {
                write!(f, "within {radius_km} km of {latitude}, {longitude}")
            }
        }
    }
}

/// Asks the store, and says how long it took.
pub(crate) fn ask(db: &Lsm, question: Question) -> Outcome<(Vec<Place>, Duration)> {
    let start = Instant::now();
    let answer = match question {
        Question::Place { id } => find(db, id)?.into_iter().collect(),
        Question::Region { country, region } => {
            resolve(db, db.prefix(region_prefix(country, region)))?
        }
        Question::LastOf { country, count } => {
            resolve(db, db.prefix(country_prefix(country)).rev().take(count))?
        }
        Question::Near {
            latitude,
            longitude,
            radius_km,
        } => near(db, latitude, longitude, radius_km)?,
    };
    Ok((answer, start.elapsed()))
}

/// One place, by its id.
fn find(db: &Lsm, id: u32) -> Outcome<Option<Place>> {
    match db.get(place_key(id))? {
        Some(line) => Ok(Some(Place::parse(id, std::str::from_utf8(&line)?)?)),
        None => Ok(None),
    }
}

/// The places that index entries point at.
fn resolve(
    db: &Lsm,
    index_entries: impl Iterator<Item = lsm_db::Result<(Bytes, Bytes)>>,
) -> Outcome<Vec<Place>> {
    let mut places = Vec::new();
    for entry in index_entries {
        let (key, _) = entry?;
        let id = id_in_key(&key)?;
        let place = find(db, id)?.ok_or_else(|| format!("{key:?} points at no place"))?;
        places.push(place);
    }
    Ok(places)
}

/// Looks through the grid cells that a circle can touch: one range of keys a row, or two where it
/// crosses the antimeridian.
fn near(db: &Lsm, latitude: f64, longitude: f64, radius_km: f64) -> Outcome<Vec<Place>> {
    let north = latitude + radius_km * DEGREES_PER_KM;
    let south = latitude - radius_km * DEGREES_PER_KM;
    let mut found = Vec::new();
    for row in row_of(south)..=row_of(north) {
        for (first, last) in columns_around(longitude, half_width(south, north, radius_km)) {
            let cells = cell_prefix(row, first)..cell_prefix(row, last + 1);
            found.extend(resolve(db, db.range(cells))?);
        }
    }
    found.retain(|place| place.km_to(latitude, longitude) <= radius_km);
    sort_by_distance(&mut found, latitude, longitude);
    Ok(found)
}

/// How many degrees of longitude a radius can span between two latitudes: the more the nearer to
/// a pole, and all of them where a pole lies within.
fn half_width(south: f64, north: f64, radius_km: f64) -> f64 {
    let farthest = south.abs().max(north.abs());
    if farthest >= 90.0 {
        return 180.0;
    }
    (radius_km * DEGREES_PER_KM / farthest.to_radians().cos()).min(180.0)
}

/// The first and last columns within `half_width` degrees of a longitude, both included.
fn columns_around(longitude: f64, half_width: f64) -> Vec<(u16, u16)> {
    let (west, east) = (longitude - half_width, longitude + half_width);
    let last_column = COLUMNS - 1;
    if half_width >= 180.0 {
        vec![(0, last_column)]
    } else if west < -180.0 {
        vec![(0, column_of(east)), (column_of(west + 360.0), last_column)]
    } else if east >= 180.0 {
        vec![(0, column_of(east - 360.0)), (column_of(west), last_column)]
    } else {
        vec![(column_of(west), column_of(east))]
    }
}

fn sort_by_distance(places: &mut [Place], latitude: f64, longitude: f64) {
    places.sort_by(|a, b| {
        let (to_a, to_b) = (a.km_to(latitude, longitude), b.km_to(latitude, longitude));
        to_a.total_cmp(&to_b).then(a.id.cmp(&b.id))
    });
}

/// All places in memory: slow, simple and right.
#[derive(Debug, Clone)]
pub(crate) struct Oracle {
    pub(crate) places: BTreeMap<u32, Place>,
}

impl Oracle {
    pub(crate) fn new(places: &[Place]) -> Self {
        Self {
            places: places
                .iter()
                .map(|place| (place.id, place.clone()))
                .collect(),
        }
    }

    /// The places of a country, ordered by region, name and id.
    pub(crate) fn country(&self, country: &str) -> Vec<Place> {
        let mut places: Vec<Place> = self
            .places
            .values()
            .filter(|place| place.country == country)
            .cloned()
            .collect();
        places.sort_by(|a, b| (&a.region, &a.name, a.id).cmp(&(&b.region, &b.name, b.id)));
        places
    }

    /// The answer that the store owes.
    pub(crate) fn answer(&self, question: Question) -> Vec<Place> {
        match question {
            Question::Place { id } => self.places.get(&id).cloned().into_iter().collect(),
            Question::Region { country, region } => {
                let mut places = self.country(country);
                places.retain(|place| place.region == region);
                places
            }
            Question::LastOf { country, count } => self
                .country(country)
                .into_iter()
                .rev()
                .take(count)
                .collect(),
            Question::Near {
                latitude,
                longitude,
                radius_km,
            } => {
                let within = |place: &&Place| place.km_to(latitude, longitude) <= radius_km;
                let mut found: Vec<Place> = self.places.values().filter(within).cloned().collect();
                sort_by_distance(&mut found, latitude, longitude);
                found
            }
        }
    }

    /// Every entry that the store should hold, in the order of keys.
    pub(crate) fn entries(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.places.values().flat_map(Place::entries).collect()
    }
}
