-- Removes rows that are written anew, or are no longer.
delete from {table} as f
using unnest(%(instruments)s::text[], %(times)s::timestamptz[]) as k (instrument, at)
where f.instrument = k.instrument and f.{time} = k.at;
