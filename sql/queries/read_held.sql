-- Rows that the database holds of a table of which a part is in the archive.
select {columns}
from {relation}
where {held};
