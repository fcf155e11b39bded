//! x
/// x
#[inline(always)]
pub fn pf<T: ?Sized>(t: &T, most: usize) {
    let n = std::mem::size_of_val(t).div_ceil(64).min(most);
    let p = t as *const T as *const i8;
    for i in 0..n { unsafe { core::arch::x86_64::_mm_prefetch(p.add(i * 64), core::arch::x86_64::_MM_HINT_T0) } }
}
