-- The instruments of which a day has more rows than that.
select c.instrument
from coverage as c
where c.stream = %(stream)s and c.day = %(day)s and c.row_count > %(most)s and not c.is_dropped;
