# `ruby app.rb sinatra|rack|rails PORT debug|production`
framework, port, mode = ARGV
ARGV.clear
debug = mode == "debug"
ENV["RACK_ENV"] = ENV["RAILS_ENV"] = ENV["APP_ENV"] = debug ? "development" : "production"

def total(cart)
  cart.fetch(:rates)
end

def boom
  total(lines: 3).to_s
end

case framework
when "sinatra"
  require "sinatra/base"
  app = Class.new(Sinatra::Base) do
    set :environment, debug ? :development : :production
    get("/boom") { boom }
  end
when "rack"
  require "rack"
  bare = ->(_) { [200, { "Content-Type" => "text/plain" }, [boom]] }
  safe = lambda do |env|
    bare.call(env)
  rescue KeyError
    [500, { "Content-Type" => "text/plain" }, ["Internal Server Error"]]
  end
  app = debug ? Rack::ShowExceptions.new(bare) : safe
when "rails"
  require "logger"
  require "action_controller/railtie"
  shop = Class.new(Rails::Application) do
    config.eager_load = false
    config.consider_all_requests_local = debug
    config.secret_key_base = "made-up-for-a-page"
    config.hosts.clear
    config.logger = Logger.new(IO::NULL)
    routes.append { get "/boom", to: ->(_) { [200, {}, [boom]] } }
  end
  shop.initialize!
  app = shop
end
require "rack"
Rack::Handler::WEBrick.run(app, Port: port.to_i, Host: "127.0.0.1", AccessLog: [], Logger: WEBrick::Log.new(IO::NULL))
