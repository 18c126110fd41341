# ActiveRecord without Rails: migrations under its advisory lock, prepared statements, SET for each connection.

require 'active_record'
require 'logger'
require 'uri'

URL_ = ENV.fetch('DATABASE_URL')
WHO = ENV.fetch('WHO', 'one')
SCHEMA = WHO == 'one' ? 'public' : WHO
THREADS = 6
ActiveRecord::Base.default_timezone = :utc
ActiveRecord::Migration.verbose = false

$failed = 0

def check(name)
  start = Time.now
  yield
  puts format('ok      %s (%.2f s)', name, Time.now - start)
rescue Exception => error # rubocop:disable Lint/RescueException
  $failed += 1
  puts "FAILED  #{name}", error.full_message(highlight: false)
end

def is(got, wanted)
  raise "#{got.inspect} is not #{wanted.inspect}" unless got == wanted
end

def open(**more)
  more[:schema_search_path] = SCHEMA unless SCHEMA == 'public'
  ActiveRecord::Base.establish_connection({ url: URL_, pool: THREADS + 2 }.merge(more))
  ActiveRecord::Base.connection
end

def in_threads(count = THREADS)
  Array.new(count) do |i|
    Thread.new do
      Thread.current.report_on_exception = false
      ActiveRecord::Base.connection_pool.with_connection { |connection| yield connection, i }
    end
  end.each(&:join)
end

class CreateUsers < ActiveRecord::Migration[6.1]
  def change
    create_table :users do |t|
      t.string :name, null: false, index: { unique: true }
      t.jsonb :extra
      t.text :tags, array: true, default: []
      t.decimal :amount, precision: 10, scale: 2, default: 0
      t.timestamps
    end
    create_table(:posts, id: :uuid) { |t| t.references :user, foreign_key: true; t.text :title }
  end
end

class AddState < ActiveRecord::Migration[6.1]
  def up
    add_column :users, :state, :string, default: 'new'
    execute "SET LOCAL lock_timeout = '5s'"
    execute "UPDATE users SET state = 'old'"
  end

  def down
    remove_column :users, :state
  end
end

class IndexConcurrently < ActiveRecord::Migration[6.1]
  disable_ddl_transaction!

  def change
    add_index :users, :state, algorithm: :concurrently, name: 'users_by_state'
  end
end

class Fails < ActiveRecord::Migration[6.1]
  def up
    execute "UPDATE users SET state = 'lost'"
    execute 'SELECT 1 / 0'
  end
end

# Takes its time, so that another one meets it.
class Slow < ActiveRecord::Migration[6.1]
  def up
    execute 'SELECT pg_sleep(1.5)'
    create_table :slow
  end
end

class User < ActiveRecord::Base
  has_many :posts, dependent: :destroy
end

class Post < ActiveRecord::Base
  belongs_to :user
end

STEPS = [CreateUsers, AddState, IndexConcurrently].freeze

def migrator(direction, steps, target = nil)
  known = ActiveRecord::SchemaMigration
  migrations = steps.each_with_index.map { |step, i| step.new(step.name, i + 1) }
  ActiveRecord::Migrator.new(direction, migrations, known, target)
end

# The lock has the name of the database: the other process, in its schema, may have it. Then it is said, not waited for.
def migrate(direction, steps, target = nil)
  tries = 0
  begin
    migrator(direction, steps, target).migrate
  rescue ActiveRecord::ConcurrentMigrationError
    yield if block_given?
    sleep 0.1
    retry if (tries += 1) < 150
    raise
  end
end

def clean(connection)
  connection.execute('DROP TABLE IF EXISTS posts, users, slow, schema_migrations, ar_internal_metadata')
end

connection = open
connection.execute("CREATE SCHEMA IF NOT EXISTS #{SCHEMA}") unless SCHEMA == 'public'

check 'migrations' do
  clean(connection)
  2.times do
    migrate(:up, STEPS)
    is ActiveRecord::SchemaMigration.all_versions, %w[1 2 3]
    is connection.index_name_exists?(:users, 'users_by_state'), true
    is connection.select_value("SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = 'users'::regclass"), SCHEMA
    migrate(:down, STEPS, 0)
    is connection.table_exists?(:users), false
  end
  migrate(:up, STEPS)
end

check 'a failure takes back' do
  begin
    migrate(:up, STEPS + [Fails])
    raise 'no error'
  rescue StandardError => error
    raise unless error.message.include?('division by zero')
  end
  is ActiveRecord::SchemaMigration.all_versions, %w[1 2 3]
  is connection.select_value("SELECT count(*) FROM users WHERE state = 'lost'"), 0
end

check 'one at a time' do
  told = 0
  replicas = Array.new(3) do
    Thread.new do
      Thread.current.report_on_exception = false
      ActiveRecord::Base.connection_pool.with_connection { migrate(:up, STEPS + [Slow]) { told += 1 } }
    end
  end
  replicas.each(&:join)
  raise 'nobody was told to wait' if told.zero?

  is ActiveRecord::SchemaMigration.all_versions, %w[1 2 3 4]
end

check 'records' do
  User.reset_column_information
  Array.new(300) { |i| { name: "n#{i}", extra: { i: i }, tags: ['all', "t#{i}"], amount: i / 4.0, created_at: Time.now, updated_at: Time.now } }.then { |rows| User.insert_all!(rows) }
  user = User.find_by!(name: 'n7')
  is [user.extra, user.tags, user.amount.to_s], [{ 'i' => 7 }, %w[all t7], '1.75']
  user.posts.create!(title: 'one')
  is User.includes(:posts).where(name: %w[n7 n8]).order(:id).map { |u| u.posts.size }, [1, 0]
  user.update!(state: 'old')
  begin
    User.create!(name: 'n7')
    raise 'no error'
  rescue ActiveRecord::RecordNotUnique
    nil
  end
  seen = 0
  User.find_each(batch_size: 50) { seen += 1 }
  is seen, 300
  in_threads { |_, i| 50.times { |n| is User.find_by(name: "n#{i + n}").extra['i'], i + n } }
  is User.connection.prepared_statements, true
end

check 'transactions' do
  User.transaction do
    User.create!(name: 'kept')
    User.transaction(requires_new: true) do
      User.create!(name: 'undone')
      raise ActiveRecord::Rollback
    end
  end
  is User.where(name: %w[kept undone]).pluck(:name), ['kept']
  User.transaction(isolation: :serializable) do
    is User.connection.select_value('SHOW transaction_isolation'), 'serializable'
  end
  in_threads { |_, _| 10.times { User.find_by!(name: 'kept').with_lock { |*| nil } } }
  in_threads { |_, _| 10.times { User.transaction { User.lock.find_by!(name: 'kept').increment!(:amount) } } }
  is User.find_by!(name: 'kept').amount, 10 * THREADS
end

check 'settings of a connection' do
  open(variables: { statement_timeout: '33s' }, min_messages: 'error')
  in_threads do |own, _|
    20.times do
      is own.select_value('SHOW statement_timeout'), '33s'
      is own.select_value('SHOW client_min_messages'), 'error'
      is own.select_value('SHOW timezone'), 'UTC'
      is own.select_value('SHOW standard_conforming_strings'), 'on'
      is own.select_value('SELECT current_schema()'), SCHEMA
    end
  end
end

check 'advisory locks' do
  own = open
  is own.get_advisory_lock(4711 + SCHEMA.size), true
  is User.where(name: 'n3').count, 1
  is own.release_advisory_lock(4711 + SCHEMA.size), true
end

check 'short-lived' do
  10.times do
    open
    in_threads { is User.where(name: 'n3').count, 1 }
    ActiveRecord::Base.connection_pool.disconnect!
  end
end

exit($failed.zero? ? 0 : 1)
