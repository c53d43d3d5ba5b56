//! A small random generator, the same on every machine.

/// xoshiro256++ (Blackman and Vigna, 2019), seeded by SplitMix64.
pub struct Random {
    state: [u64; 4],
}

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut counter = seed;
        Random {
            state: std::array::from_fn(|_| {
                counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (counter ^ (counter >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                mixed ^ (mixed >> 31)
            }),
        }
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// Evenly from `[low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.next() >> 11) as f64 / (1_u64 << 53) as f64)
    }

    /// Evenly from `low..high`.
    pub fn whole(&mut self, low: usize, high: usize) -> usize {
        (self.uniform(low as f64, high as f64) as usize).min(high - 1)
    }

    /// -1 or 1.
    pub fn sign(&mut self) -> f64 {
        if self.uniform(0.0, 1.0) < 0.5 { -1.0 } else { 1.0 }
    }

    fn exponential(&mut self) -> f64 {
        -libm::log(1.0 - self.uniform(0.0, 1.0))
    }

    /// By Box and Muller's method.
    pub fn normal(&mut self) -> f64 {
        let angle = self.uniform(0.0, 2.0 * std::f64::consts::PI);
        (2.0 * self.exponential()).sqrt() * libm::cos(angle)
    }

    /// Student's t.
    pub fn student(&mut self, degrees_of_freedom: u32) -> f64 {
        let squares: f64 = (0..degrees_of_freedom)
            .map(|_| self.normal())
            .map(|normal| normal * normal)
            .sum();
        self.normal() / (squares / f64::from(degrees_of_freedom)).sqrt()
    }

    /// A gamma distribution of whole shape.
    pub fn gamma(&mut self, shape: u32, scale: f64) -> f64 {
        scale * (0..shape).map(|_| self.exponential()).sum::<f64>()
    }

    pub fn lognormal(&mut self, deviation: f64) -> f64 {
        libm::exp(deviation * self.normal())
    }
}
