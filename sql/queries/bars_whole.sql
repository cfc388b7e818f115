-- Where the tapes of some instruments' trades are whole on a day, holes that a person accepted counting as whole.
select
    c.instrument,
    (c.covered + c.accepted)::text as whole
from coverage as c
where c.stream = 'trades' and c.day = %(day)s and c.instrument = any(%(instruments)s);
