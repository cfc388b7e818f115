-- Rows of one instrument in a part of a window, as the database holds them: of a table, or of what its rows were before.
select {columns}
from {relation}
where instrument = %(instrument)s and {time} >= %(since)s and {time} < %(until)s and {also}
order by {in_order};
