-- The rows that are stored of some instruments in a window of minutes, of a table that features are made from or kept in.
select {columns}
from {table} as f
where f.instrument = any(%(instruments)s) and f.{time} >= %(from_time)s and f.{time} < %(to_time)s
order by f.instrument, f.{time};
