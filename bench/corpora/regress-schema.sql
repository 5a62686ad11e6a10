-- Tables of the shapes that PostgreSQL's documentation and regression tests are known by; written anew, with small data.
create table onek (
  unique1 int4, unique2 int4, two int4, four int4, ten int4, twenty int4, hundred int4, thousand int4, twothousand int4,
  fivethous int4, tenthous int4, odd int4, even int4, stringu1 name, stringu2 name, string4 name
);
create unique index on onek (unique1);
create unique index on onek (unique2);
create table tenk1 (like onek including all);
create table int2_tbl (f1 int2);
create table int4_tbl (f1 int4);
create table int8_tbl (q1 int8, q2 int8);
create table float4_tbl (f1 float4);
create table float8_tbl (f1 float8);
create table text_tbl (f1 text);
create table varchar_tbl (f1 varchar(4));
create table char_tbl (f1 char(4));
create table bool_tbl (f1 bool);
create table date_tbl (f1 date);
create table time_tbl (f1 time);
create table timestamp_tbl (d1 timestamp);
create table timestamptz_tbl (d1 timestamptz);
create table interval_tbl (f1 interval);
create table point_tbl (f1 point);
create table box_tbl (f1 box);
create table inet_tbl (c cidr, i inet);
create table arrtest (a int2[], b int4[][], c name[], d text[]);
create table jsonb_tbl (id int primary key, j jsonb);
create table person (name text, age int4, location point);
create table emp (salary int4, manager name) inherits (person);
create table student (gpa float8) inherits (person);
create table stud_emp (percent int4) inherits (emp, student);
create table road (name text, thepath path);
create table ihighway () inherits (road);
create table shighway (surface text) inherits (road);
create table aggtest (a int2, b float4);
create table j1_tbl (i integer, j integer, t text);
create table j2_tbl (i integer, k integer);
create table empsalary (depname varchar, empno bigint, salary int, enroll_date date);
create table weather (city varchar(80), temp_lo int, temp_hi int, prcp real, date date);
create table cities (name varchar(80) primary key, population real, elevation int);
create table capitals (state char(2)) inherits (cities);
create table products (product_no integer primary key, name text, price numeric);
create table tree (id int primary key, parent_id int references tree (id) on delete cascade, label text);
create table measurement (city_id int not null, logdate date not null, peaktemp int, unitsales int) partition by range (logdate);
create table measurement_y2006m02 partition of measurement for values from ('2006-02-01') to ('2006-03-01');
create table measurement_y2006m03 partition of measurement for values from ('2006-03-01') to ('2006-04-01');
create table measurement_other partition of measurement default;
create table range_list (a int, b text) partition by list (b);
create table range_list_ab partition of range_list for values in ('a', 'b');
create table range_list_null partition of range_list for values in (null) partition by range (a);
create table range_list_null_lo partition of range_list_null for values from (minvalue) to (10);
create table range_list_null_hi partition of range_list_null default;
create table documents (id int primary key, title text, body text,
  search tsvector generated always as (to_tsvector('simple', coalesce(title, '') || ' ' || coalesce(body, ''))) stored);
create view toyemp as select name, age, location, 12 * salary as annualsal from emp;
create view street as select r.name, r.thepath, c.name as cname from only road r, cities c where c.elevation > 100;
create view rich_emp as select * from toyemp where annualsal > 12000;
create view weather_city as select w.city, w.temp_lo, c.population from weather w left join cities c on w.city = c.name;
