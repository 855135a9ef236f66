"""Numbers that DSA keys are made from: public, and slow to find."""

from cryptography.hazmat.primitives.asymmetric.dsa import DSAParameterNumbers, DSAPrivateKey

#: By bits: p, q and g, hexadecimal.
_NUMBERS = {
    1024: (
        (
            "ba73fd2841249c3033b95b2c61ed24f343a3c0bfe7aa30a534bee2c5924152f409774e0abf29b427"
            "dc352b490a2e4387bf0e4839d4a0f726885a4e502a36d3b8d33622ad5ebe598016b7ad85976971b1"
            "8380e47f10bbbe717bf0e8ffaee0618ef749b8e9e8d11fcc2d3f1e553bd0382d70f5e11a9fc6d754"
            "c31909327af9576b"
        ),
        ("faa27701656a79550fb0729d525304fc4fe5e0dd"),
        (
            "8bde32a726c332f668c533f6dcf9a0727d170431dd828f057d1e695ab6265476d2fbbf92403de97a"
            "ef32094d4c2e9791f559ccc89168d3775942f7ff8e73518a2e74e23249dd758a293ad1fc37fec03f"
            "176bf9e609d6361c382245e49ae17aeb76be556986265ee9f7dcf1ff9c09be545c79e51c914c8cba"
            "5586bb4c45bdbcbc"
        ),
    ),
    2048: (
        (
            "ed89a05462aadc8b2dceb1570784daa86f0ebda7240380ea6a6c804ee15989be3b9f5f7c3cf0ff3b"
            "114cff1cd2c6005876fc0e39709e93ed6b7f31e2aab9b55d7e55c82cc6496103754f84f3819a90e1"
            "ef7cd37b953c34e8638bcae40a15588464a58f430c9c47528476a21eafb23a3706137374c64b499c"
            "eda6337db992302e609ef40758a7352435215831b5efec0754851eb30ac8dbc74c4b4c27a2aad429"
            "9cc5d523e0ef09b0c9f4b7aae33fcb55094a33bbda1a53afbd1365c9ed6a23fd5a155e5891ced0c1"
            "6730dfc4cdcb6317bd55655538f6c879d67d9d0cfeebef3cb80fb2846cc00c7fd0543727f1aa7160"
            "d38195d4e09c39e59610207bc853ea13"
        ),
        ("c767dc5a573c0c581bbbee8f4a5461c27ff18b3edec26fb5efa78608b8855cc7"),
        (
            "3b40599476215488b28179685d0975ace0da41de45bb65839d8864838147c095208f74562eb78dc9"
            "a12452c3c3890d5979a11e63f7f38e1fb05ffac69f761f7d6c35cf182fd12ae09c8bcf99875ce71b"
            "7a5d3925ca9fde336d6782811aeb9c4b6afe943333999f9792956a4fdfe5b58189bbb27d605973a5"
            "23bb4eacf6d6bf6cc3e01e978b8a4ee3c8c6d1358afc7695b865639f2f4fa420e924f643d0145383"
            "587ae8637f7b6cb2e4cd337b1a7e33550c52ac6e0c584ece3e4e6c43771dff84141a725ed901938d"
            "f2a73e6f87cbcf3e118f88e55708aa06a759536d5eb53a533e20b7bc34c8a1aea0549ec097fe3bed"
            "37c86f011f465837834ae1d86ab4fb27"
        ),
    ),
}


def new_dsa_key(bits: int) -> DSAPrivateKey:
    p, q, g = (int(number, 16) for number in _NUMBERS[bits])
    return DSAParameterNumbers(p, q, g).parameters().generate_private_key()
