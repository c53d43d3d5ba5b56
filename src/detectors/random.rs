//! The generators of random numbers that NumPy, Python and scikit-learn use, bit for bit.

/// MT19937 of Matsumoto and Nishimura (1998), as `numpy.random.RandomState` and Python's `random.Random` run it.
#[derive(Debug, Clone)]
pub(super) struct MersenneTwister {
    state: [u32; WORDS],
    next: usize,
}

const WORDS: usize = 624;
/// How far apart the words are that are mixed.
const SHIFT: usize = 397;

impl MersenneTwister {
    /// As `numpy.random.RandomState(seed)` begins.
    pub(super) fn numpy(seed: u32) -> Self {
        let mut state = [seed; WORDS];
        let mut word = seed;
        for (index, slot) in state.iter_mut().enumerate().skip(1) {
            word = 1_812_433_253_u32
                .wrapping_mul(word ^ (word >> 30))
                .wrapping_add(index as u32);
            *slot = word;
        }
        MersenneTwister { state, next: WORDS }
    }

    /// As Python's `random.Random(seed)` begins: `init_by_array` of the authors, with a key of one word.
    pub(super) fn python(seed: u32) -> Self {
        let mut generator = MersenneTwister::numpy(19_650_218);
        let state = &mut generator.state;
        let mut at = 1;
        for _ in 0..WORDS {
            let before = state[at - 1];
            state[at] = (state[at] ^ (before ^ (before >> 30)).wrapping_mul(1_664_525)).wrapping_add(seed);
            at = advanced(state, at);
        }
        for _ in 0..WORDS - 1 {
            let before = state[at - 1];
            state[at] =
                (state[at] ^ (before ^ (before >> 30)).wrapping_mul(1_566_083_941)).wrapping_sub(at as u32);
            at = advanced(state, at);
        }
        state[0] = 0x8000_0000;
        generator
    }

    /// The next 32 bits.
    pub(super) fn next_u32(&mut self) -> u32 {
        if self.next == WORDS {
            self.renew();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    fn renew(&mut self) {
        for index in 0..WORDS {
            let following = self.state[(index + 1) % WORDS];
            let mixed = (self.state[index] & 0x8000_0000) | (following & 0x7fff_ffff);
            let twist = if mixed & 1 == 0 { 0 } else { 0x9908_b0df };
            self.state[index] = self.state[(index + SHIFT) % WORDS] ^ (mixed >> 1) ^ twist;
        }
        self.next = 0;
    }

    /// Python's `random()`: from 0 to below 1, 53 bits of it random.
    pub(super) fn next_f64(&mut self) -> f64 {
        let high = f64::from(self.next_u32() >> 5);
        let low = f64::from(self.next_u32() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    /// From 0 to `largest`, as `RandomState.randint(largest + 1)` and `RandomState.shuffle` draw it: as many bits as
    /// the largest has, again until they are not above it.
    pub(super) fn next_up_to(&mut self, largest: u32) -> u32 {
        if largest == 0 {
            return 0;
        }
        let mask = u32::MAX >> largest.leading_zeros();
        loop {
            let drawn = self.next_u32() & mask;
            if drawn <= largest {
                return drawn;
            }
        }
    }
}

/// The place after `at`; the first word takes over the last on the way round.
fn advanced(state: &mut [u32; WORDS], at: usize) -> usize {
    if at + 1 < WORDS {
        return at + 1;
    }
    state[0] = state[WORDS - 1];
    1
}

/// Marsaglia's 32-bit xorshift (13, 17, 5), the `rand_r` of scikit-learn's trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct XorShift32 {
    state: u32,
}

impl XorShift32 {
    /// The largest number drawn.
    pub(super) const LARGEST: u32 = 0x7fff_ffff;

    /// A generator that starts from `seed`; from 1 instead of 0.
    pub(super) fn new(seed: u32) -> Self {
        XorShift32 { state: seed.max(1) }
    }

    /// The next 31 bits.
    #[inline]
    pub(super) fn next_u31(&mut self) -> u32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        self.state & Self::LARGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numpy_s_numbers_are_drawn() {
        // RandomState(5489) is the generator of the authors' own test: its 1st and 10,000th number.
        let mut twister = MersenneTwister::numpy(5489);
        assert_eq!(twister.next_u32(), 3_499_211_612);
        let ten_thousandth = (0..9_999).map(|_| twister.next_u32()).last();
        assert_eq!(ten_thousandth, Some(4_123_659_995));
        // RandomState(42).randint(2**31 - 1, size=3)
        let mut twister = MersenneTwister::numpy(42);
        let drawn: Vec<u32> = (0..3).map(|_| twister.next_up_to(0x7fff_fffe)).collect();
        assert_eq!(drawn, [1_608_637_542, 1_273_642_419, 1_935_803_228]);
        assert_eq!(twister.next_up_to(0), 0);
    }

    #[test]
    fn python_s_numbers_are_drawn() {
        // random.Random(42).random()
        let mut twister = MersenneTwister::python(42);
        assert_eq!(twister.next_f64(), 0.639_426_798_457_883_7);
        assert_eq!(twister.next_f64(), 0.025_010_755_222_666_936);
        assert_eq!(twister.next_f64(), 0.275_029_318_369_119_26);
    }

    #[test]
    fn xorshift_s_numbers_are_drawn() {
        // The published sequence from 2463534242 begins 723471715; the highest bit is cut off.
        let mut generator = XorShift32::new(2_463_534_242);
        assert_eq!(generator.next_u31(), 723_471_715);
        assert_eq!(XorShift32::new(0), XorShift32::new(1));
    }
}
