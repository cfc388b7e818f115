-- An archived table of which the database does not hold all, as it stands in an analyst's statement: what was read in the archive, given
-- as arrays, and what the database holds.
select {given}
from unnest({arrays}) as archived ({columns})
union all
select {columns}
from public.{relation}
where {held};
