-- A shop that marks rows deleted with a date and keeps them, as acts_as_paranoid (Rails) or django-safedelete do.
-- The same on SQLite, MariaDB/MySQL and PostgreSQL.
CREATE TABLE customers (id INTEGER NOT NULL PRIMARY KEY, email VARCHAR(100) NOT NULL, deleted_at TIMESTAMP NULL);
CREATE TABLE products (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(100) NOT NULL, deleted_at TIMESTAMP NULL);
CREATE TABLE orders (id INTEGER NOT NULL PRIMARY KEY, customer_id INTEGER NOT NULL, total INTEGER NOT NULL, deleted_at TIMESTAMP NULL, FOREIGN KEY (customer_id) REFERENCES customers (id));
CREATE TABLE order_lines (id INTEGER NOT NULL PRIMARY KEY, order_id INTEGER NOT NULL, product_id INTEGER NOT NULL, quantity INTEGER NOT NULL, FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE, FOREIGN KEY (product_id) REFERENCES products (id));
CREATE INDEX lines_of_order ON order_lines (order_id);
CREATE INDEX lines_of_product ON order_lines (product_id);
-- No foreign key: the application alone knows what a note belongs to.
CREATE TABLE order_notes (id INTEGER NOT NULL PRIMARY KEY, order_id INTEGER NOT NULL, body VARCHAR(1000) NOT NULL);
CREATE INDEX notes_of_order ON order_notes (order_id);
-- Where deleted rows go. The same columns, the same key, no foreign keys.
CREATE TABLE archived_customers (id INTEGER NOT NULL PRIMARY KEY, email VARCHAR(100) NOT NULL, deleted_at TIMESTAMP NULL);
CREATE TABLE archived_products (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(100) NOT NULL, deleted_at TIMESTAMP NULL);
CREATE TABLE archived_orders (id INTEGER NOT NULL PRIMARY KEY, customer_id INTEGER NOT NULL, total INTEGER NOT NULL, deleted_at TIMESTAMP NULL);
CREATE TABLE archived_order_lines (id INTEGER NOT NULL PRIMARY KEY, order_id INTEGER NOT NULL, product_id INTEGER NOT NULL, quantity INTEGER NOT NULL);
CREATE TABLE archived_order_notes (id INTEGER NOT NULL PRIMARY KEY, order_id INTEGER NOT NULL, body VARCHAR(1000) NOT NULL);

-- Ada lives, with an order that lives and one that she deleted. Bob is deleted, with an order that nobody marked.
INSERT INTO customers VALUES (1, 'ada@example.org', NULL);
INSERT INTO customers VALUES (2, 'bob@example.org', '2024-05-02 10:00:00');
INSERT INTO products VALUES (1, 'spade', NULL);
INSERT INTO products VALUES (2, 'lantern', '2024-06-01 12:00:00');
INSERT INTO products VALUES (3, 'bell', '2024-06-01 12:00:00');
INSERT INTO orders VALUES (1, 1, 30, NULL);
INSERT INTO orders VALUES (2, 1, 12, '2024-04-01 09:00:00');
INSERT INTO orders VALUES (3, 2, 7, NULL);
-- The lantern is deleted, and an order that lives has one.
INSERT INTO order_lines VALUES (1, 1, 1, 1);
INSERT INTO order_lines VALUES (2, 1, 2, 1);
INSERT INTO order_lines VALUES (3, 2, 1, 2);
INSERT INTO order_lines VALUES (4, 3, 3, 1);
INSERT INTO order_notes VALUES (1, 2, 'call before noon');
INSERT INTO order_notes VALUES (2, 1, 'gift');
