-- The days on which an instrument's bars are expected to be made of a stream; no row where none are.
select
    i.listed_on,
    i.delisted_on
from instruments as i
where i.instrument = %(instrument)s and i.valid_to is null and i.bars_stream = %(stream)s and i.listed_on is not null;
