"""``stentor verify``: is this recording what was broadcast under this key, and where is it not? Needs no server."""

from dataclasses import asdict, dataclass
from pathlib import Path

from stentor.archive.align import Difference, Kind, compare
from stentor.archive.demux import decoder_config, open_recording
from stentor.archive.proof import Proof, unbase64
from stentor.clock import NS_PER_S
from stentor.errors import MediaError
from stentor.media.grid import SAMPLE_RATE_HZ, SEGMENT_NS

# What is cut out or put in spoils the two segments at its edges; where more does not fit, it is other sound.
_SEARCHED_S = 2 * SEGMENT_NS / NS_PER_S


@dataclass(frozen=True, slots=True)
class Verdict:
    """What can be said of a recording and a proof.

    ``problem`` is a sentence when nothing can be said at all. ``fingerprint_matches`` is None when none was given to
    compare with. ``setup_matches``: the file sets up decoders as the broadcast did. ``unlinked``: chunks whose own
    head did not follow from the one before when they were broadcast; the archive has counted them.
    """

    problem: str | None = None
    room: str = ""
    rendition: str = ""
    duration_s: float = 0.0
    signature_valid: bool = False
    fingerprint: str = ""
    fingerprint_matches: bool | None = None
    setup_matches: bool = True
    unlinked: int = 0
    differences: tuple[Difference, ...] = ()

    @property
    def identical(self) -> bool:
        """Tell whether every access unit is the one that the proof speaks of, and none is missing or extra."""
        return self.problem is None and self.setup_matches and not self.differences

    @property
    def genuine(self) -> bool:
        """Tell whether the recording is identical and the proof is to be believed."""
        return self.identical and self.signature_valid and self.fingerprint_matches is not False

    @property
    def exit_code(self) -> int:
        """Return 0 for genuine, 1 for not, 2 when the files cannot be read."""
        return 2 if self.problem else 0 if self.genuine else 1

    def sentences(self) -> list[str]:
        """Return the verdict for a person."""
        if self.problem:
            return [self.problem]
        return [*self._about_the_key(), *self._about_the_content()]

    def to_json(self) -> dict[str, object]:
        """Return the verdict for a program."""
        return {**asdict(self), "identical": self.identical, "genuine": self.genuine}

    def _about_the_key(self) -> list[str]:
        if not self.signature_valid:
            return ["The signature is NOT valid: this proof was changed, or never signed by the key it names."]
        said = [f"The proof of room {self.room} is signed by the key {self.fingerprint}."]
        if self.fingerprint_matches is None:
            said.append("Compare this with the fingerprint on the room's page, or give it with --fingerprint.")
        elif self.fingerprint_matches:
            said.append("That is the key whose fingerprint you gave.")
        else:
            said.append("That is NOT the key whose fingerprint you gave.")
        return said

    def _about_the_content(self) -> list[str]:
        said = []
        if self.unlinked:
            said.append(f"When it was broadcast, {self.unlinked} chunks did not follow from the one before.")
        if not self.setup_matches:
            said.append("The file sets up decoders otherwise than the broadcast did.")
        if self.identical:
            what = f"all {_time(self.duration_s)} of {self.rendition}"
            said.append(f"The recording is identical to what was broadcast: {what}, byte for byte.")
        else:
            said.append("The recording is NOT identical to what was broadcast:")
            said += [_sentence(difference, self.duration_s) for difference in self.differences]
        return said


def verify(recording: Path, proof: Path, *, fingerprint: str | None = None) -> Verdict:
    """Compare a recording (m4a, Ogg Opus or MP3) with a proof; never raises for what is in the files.

    ``fingerprint``: lower- or upper-case hex of the key that is expected, colons and spaces allowed.
    """
    try:
        return _verify(recording, proof, fingerprint)
    except MediaError as error:
        return Verdict(problem=error.detail)


def _verify(recording: Path, proof_file: Path, fingerprint: str | None) -> Verdict:
    try:
        if proof_file.stat().st_size > Proof.LIMIT_BYTES:
            raise MediaError(f"{proof_file.name} is far too large for a proof.")
        proof = Proof.read(proof_file.read_bytes())
    except OSError as error:
        raise MediaError(f"{proof_file.name} cannot be read: {error.strerror}.") from error
    signed = proof.signed
    with open_recording(recording) as units:
        proven = signed.renditions.get(units.rendition)
        if proven is None:
            raise MediaError(f"The proof says nothing about {units.rendition}.")
        wanted = fingerprint.replace(":", "").replace(" ", "").lower() if fingerprint is not None else None
        return Verdict(
            room=signed.room,
            rendition=units.rendition,
            duration_s=len(units) * proven.frame_samples / SAMPLE_RATE_HZ,
            signature_valid=proof.signature_is_valid(),
            fingerprint=signed.key_fingerprint,
            fingerprint_matches=None if wanted is None else wanted == signed.key_fingerprint,
            setup_matches=units.config == decoder_config(unbase64(proven.init)),
            unlinked=proven.unlinked,
            differences=tuple(compare(units, signed.room, units.rendition, proven)),
        )


def _sentence(difference: Difference, duration_s: float) -> str:
    start, end = _time(difference.start_s), _time(difference.end_s)
    more = abs(difference.broadcast_s - (difference.end_s - difference.start_s))
    if difference.kind is Kind.CHANGED:
        return f"  From {start} to {end} it is something else."
    if min(difference.broadcast_s, difference.end_s - difference.start_s) > _SEARCHED_S:
        than = "longer" if difference.kind is Kind.EXTRA else "shorter"
        return f"  From {start} to {end} it is something else, {more:.2f} s {than} than what was broadcast."
    if difference.kind is Kind.EXTRA:
        return f"  From {start} to {end} it has {more:.2f} s that were not broadcast there."
    if difference.end_s >= duration_s:
        return f"  At the end, from {start} on, {more:.2f} s are missing."
    if difference.start_s == 0:
        return f"  At the beginning, before {end}, {more:.2f} s are missing."
    return f"  Between {start} and {end}, {more:.2f} s are missing."


def _time(seconds: float) -> str:
    whole, hundredths = divmod(round(seconds * 100), 100)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}.{hundredths:02d}"
