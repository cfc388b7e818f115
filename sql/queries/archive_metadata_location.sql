-- Where the current metadata of a table of the archive lies.
select t.metadata_location
from iceberg.iceberg_tables as t
where t.catalog_name = %(catalogue)s and t.table_namespace = %(namespace)s and t.table_name = %(name)s;
