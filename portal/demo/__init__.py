"""Rows for looking at a full portal: people, images and machines that no engine runs.

They carry marks of their own, so that they are told from real ones and removed again:

- machines are of the cloud ``demo``, which ``settings.CLOUDS`` does not name. Whatever asks
  an engine (reconcile, samples, sweeps) goes by ``settings.CLOUDS`` and never meets them;
- people and images have addresses under ``demo.invalid``, a domain that cannot exist
  (RFC 2606), and nobody can sign in as one of these people;
- machines have addresses in 198.18.0.0/15, the range for benchmarks (RFC 2544).

Machines in a moving state have no next look: they stay as they are until they are removed.
"""

from portal.demo.rows import CLOUD, clean, real_machines, seed

__all__ = ["CLOUD", "clean", "real_machines", "seed"]
