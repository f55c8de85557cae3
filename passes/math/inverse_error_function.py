"""The inverses of the error function and of its complement.

Both are y = c P(w) with c = erf(y) and w = -log(1 - c²), the form of Giles, Approximating the
erfinv function (GPU Computing Gems, 2011). P varies slowly: near zero as a constant and beyond as
the root of w. The complement gives w without loss where c is one to rounding.
"""

from __future__ import annotations

from graphc.ir import scalar
from graphc.ir.scalar import Scalar
from graphc.ir.types import float32, float64
from graphc.passes.math.floating import absolute, at_least, square_root
from graphc.passes.math.logarithm import log
from graphc.passes.math.polynomial import horner

# P(w) as a polynomial in w - 5/2 for w up to 5: relative error 2^-24.4 and 2^-54.0.
CENTRE = {
    float32: (
        1.5014094114303589, 0.24664020538330078, -0.0041778068989515305,
        -0.0012525689089670777, 0.00021888469927944243, -5.063438948127441e-06,
        -3.705335529957665e-06, 4.876176831203338e-07, 6.76602311955321e-08,
        -1.0322993126976598e-08, -2.8452276090717987e-09,
    ),
    float64: (
        1.501409351110792, 0.24664027674416672, -0.004177317724386649,
        -0.0012527079078071435, 0.00021825026436727478, -4.996079614995114e-06,
        -3.4166196662685696e-06, 4.787252494685224e-07, 1.3416911794375445e-08,
        -1.0861201896076391e-08, 9.072049152645144e-10, 1.1962843629051998e-10,
        -3.1045619510468326e-11, 9.026012713515078e-13, 5.138557609868373e-13,
        -7.36703208275452e-14, 2.6514182048948053e-15, 1.4578767046017054e-15,
        -1.0646236159156193e-15, 2.2405375619919348e-17, 1.035961029533111e-16,
        -2.97854289173661e-18, -6.096305117003024e-18, 8.755514089074281e-20,
        1.6102753512244427e-19,
    ),
}  # fmt: skip

# P(w) as a polynomial in sqrt(w) - 13/4 for w from 5 to 18: relative error 2^-25.4 and 2^-53.3.
MIDDLE = {
    float32: (
        3.083885669708252, 1.0052586793899536, 0.005368054378777742,
        -0.0037473959382623434, 0.002513407962396741, -0.001701052300632,
        0.0008954274235293269, -0.00034293794305995107, 8.27931216917932e-05,
        7.391750114038587e-05, -6.329939787974581e-05,
    ),
    float64: (
        3.0838856104922208, 1.0052589676941677, 0.005370914553532683,
        -0.003751208508417465, 0.0024914420989077682, -0.0016882755304896834,
        0.0009532893256940494, -0.0003550378717015509, 2.4031650472319638e-05,
        6.828748407466252e-05, -4.732138785913026e-05, 1.2463662336016102e-05,
        2.934901908033926e-06, -3.982631972519322e-06, 1.4765162455934854e-06,
        -3.169114150578857e-08, -2.3800742826069298e-07, 1.3441289251414908e-07,
        -2.8187502229483295e-08, -1.5915785188912556e-08, 1.1938474569257435e-08,
        -2.0696876701260957e-10, -1.1472005961238642e-09, 2.3668442592480838e-11,
    ),
}  # fmt: skip

# P(w) / sqrt(w) as a polynomial in 1 / sqrt(w) less the number given, from 18 to the w of the
# least positive number, 104 and 746: relative error 2^-25.3 and 2^-54.4.
FAR_CENTRE = {float32: 0.171875, float64: 0.1328125}
FAR = {
    float32: (
        0.9756197929382324, -0.19870683550834656, -0.0877378061413765, 0.9164308309555054,
        -1.4139825105667114, 1.4109306335449219, -60.615413665771484, 272.6206970214844,
        5745.73486328125,
    ),
    float64: (
        0.9831896478549141, -0.18726757810938793, -0.21110938895995243, 1.2175860343697238,
        -2.4561173822526103, 6.794557182485797, -26.43299282373382, 115.69236887012946,
        -544.5531301745133, 2729.5297990329864, -14404.8546047672, 79339.54004969647,
        -434421.3712523172, 2300864.535242117, -18497577.590813626, 179111855.9583173,
        147992358.77046368, -16023669499.437775, -116359118221.13974, 3299824322193.8193,
        7083246417662.152, -342580460719945.25, -283959779978978.5, 2.540780007666623e+16,
        -2.331922178968805e+16, -1.08531606124227e+18, 2.4105505605547965e+18,
        2.3029842935070454e+19, -8.320266644800045e+19,
    ),
}  # fmt: skip


def erfinv(x: Scalar) -> Scalar:
    """The y with erf(y) = x; infinite at -1 and 1, NaN beyond."""
    a = absolute(x)
    return x * quotient(-log((1.0 - a) * (a + 1.0)))


def erfcinv(x: Scalar) -> Scalar:
    """The y with erfc(y) = x; infinite at 0 and 2, NaN beyond."""
    return (1.0 - x) * quotient(-log(x * (2.0 - x)))


def quotient(w: Scalar) -> Scalar:
    """y / erf(y) from w = -log(1 - erf(y)²)."""
    dtype = w.dtype
    root = square_root(at_least(w, 5.0))
    far = root * horner(1.0 / root - FAR_CENTRE[dtype], FAR[dtype])
    outer = scalar.where(w < 18.0, horner(root - 3.25, MIDDLE[dtype]), far)
    return scalar.where(w < 5.0, horner(w - 2.5, CENTRE[dtype]), outer)
